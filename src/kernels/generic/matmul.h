// Matrix products over packed weights (packed.h). Compiled once an instruction set; see kernels.h for the
// contract.
//
// Per output (row, token) the float steps are the same on every path, block by block in order of K:
//   symmetric  out = fma(float(dot) * d, s, out)                dot = sum (u - offset) * q, exact in int32
//   affine     out = fma(float(dot) * d, s, out); out = fma(m, s * sum q, out)
//   kU6K       two symmetric steps a block, one for each 16 k
// where d, m are the row's and s the token's. Few tokens unpack into registers (fused); many unpack a group
// once into a panel of plain bytes and run register tiles over it.

namespace kvasir::kernels::KVASIR_SIMD {
namespace {

constexpr std::size_t kSteps = 8;              // dot steps of 4 k in a block
constexpr std::size_t kPanelBlockBytes = 512;  // of one group
constexpr std::size_t kFusedTokens = 4;        // tokens a fused pass keeps in registers
constexpr std::size_t kFusedLimit = 8;         // from more tokens on, a panel pays

enum class Kind { kSym, kAffine, kSym16 };
constexpr Kind kind_of(PackedType t) {
  if (t == PackedType::kU6K) return Kind::kSym16;
  return offset_of(t) != 0 ? Kind::kSym : Kind::kAffine;
}

template <PackedType T>
inline void unpack_block(const std::byte* q, B* steps) {
  if constexpr (T == PackedType::kU8Sym) {
    for (std::size_t s = 0; s < kSteps; ++s) steps[s] = load_bytes(q + 64 * s);
    return;
  }
  for (std::size_t j = 0; j < 4; ++j) {
    const B x = load_bytes(q + 64 * j);
    steps[j] = bits<0>(x, 15);
    steps[j + 4] = bits<4>(x, 15);
  }
  if constexpr (quant_bytes(T) == 320) {
    for (std::size_t s = 0; s < kSteps; ++s) steps[s] = or_bit4(steps[s], q + 256 + 8 * s);
  }
  if constexpr (T == PackedType::kU6K) {
    for (std::size_t h = 0; h < 2; ++h) {
      const B two = load_bytes(q + 256 + 64 * h);
      steps[4 * h] = or_high2(steps[4 * h], bits<0>(two, 3));
      steps[4 * h + 1] = or_high2(steps[4 * h + 1], bits<2>(two, 3));
      steps[4 * h + 2] = or_high2(steps[4 * h + 2], bits<4>(two, 3));
      steps[4 * h + 3] = or_high2(steps[4 * h + 3], bits<6>(two, 3));
    }
  }
}

// d: the block's scale (kSym16: of its first half), e: kSym16's second half, or kAffine's minimum.
struct BlockScale {
  F d, e;
};

template <PackedType T>
inline BlockScale block_scale(const std::byte* scales, std::size_t b) {
  if constexpr (!has_super_blocks(T)) {
    const std::byte* p = scales + b * scale_bytes(T);
    if constexpr (kind_of(T) == Kind::kAffine)
      return {load_f16(p), load_f16(p + 32)};
    else
      return {load_f16(p), set1(0.0F)};
  } else {
    const std::byte* super = scales + b / 8 * scale_bytes(T);
    const F d = load_f16(super);
    if constexpr (T == PackedType::kU6K) {
      const std::byte* p = super + 32 + b % 8 * 32;
      return {mul(d, load_i8(p)), mul(d, load_i8(p + 16))};
    } else {
      const std::byte* p = super + 64 + b % 8 * 32;
      return {mul(d, load_u8(p)), sub(set1(0.0F), mul(load_f16(super + 32), load_u8(p + 16)))};
    }
  }
}

template <Kind K>
inline F add_block(F out, I dot, I dot_second, const BlockScale& scale, float s, float scaled_sum) {
  const F sv = set1(s);
  out = fma(mul(to_float(dot), scale.d), sv, out);
  if constexpr (K == Kind::kSym16) out = fma(mul(to_float(dot_second), scale.e), sv, out);
  if constexpr (K == Kind::kAffine) out = fma(scale.e, set1(scaled_sum), out);
  return out;
}

inline void store_result(F value, const PackedMatrix& w, std::size_t group, std::size_t token,
                         const MatmulOutput& out) {
  const std::size_t row = group * kGroupRows;
  float* y = out.y + token * out.y_stride + row;
  if (row + kGroupRows <= w.rows) {
    if (out.bias != nullptr) value = add(value, load(out.bias + row));
    if (out.accumulate) value = add(load(y), value);
    store(y, value);
    return;
  }
  float lanes[kGroupRows];
  store(lanes, value);
  for (std::size_t i = 0; row + i < w.rows; ++i) {
    if (out.bias != nullptr) lanes[i] = lanes[i] + out.bias[row + i];
    y[i] = out.accumulate ? y[i] + lanes[i] : lanes[i];
  }
}

// The unpacked u of symmetric types against q: -offset * sum q starts the dot, exactly (shift holds -128 *
// sum q).
template <PackedType T>
inline I fused_start(std::int32_t shift) {
  constexpr int kOffset = offset_of(T);
  if constexpr (kOffset == 0) return zero_int();
  return set1_int(shift / (128 / (kOffset == 0 ? 1 : kOffset)));
}

// One token reads every weight once: asking for lines this far ahead hides the memory's latency where the
// hardware's own prefetcher stops (page ends, the jump from quants to scales). Measured: 1.3 to 1.6 times the
// tokens a second.
constexpr std::size_t kPrefetchBytes = 6144;

template <PackedType T>
inline void prefetch_block(const std::byte* quants, const std::byte* scales) {
  for (std::size_t i = 0; i < quant_bytes(T); i += 64) __builtin_prefetch(quants + kPrefetchBytes + i);
  __builtin_prefetch(scales);
}

// Two planes: the start (which is exact for the whole q) goes into the low plane's dot, and the high one
// counts 128-fold.
inline I join_planes(I high, I low) {
  return add_int(shift_left7(high), low);
}

// The dot of `count` steps with one token's planes.
template <bool kPanelBytes, int P>
inline I dot_steps(I start, const B* steps, std::size_t count, const QuantizedRows& x, std::size_t at) {
  I dots[P];
  for (int p = 0; p < P; ++p) {
    const std::int8_t* a = (p == 0 ? x.q : x.low) + at;
    I dot = p == P - 1 ? start : zero_int();
    for (std::size_t s = 0; s < count; ++s) {
      if constexpr (kPanelBytes)
        dot = dot_panel(dot, steps[s], four(a + 4 * s));
      else
        dot = dot_small(dot, steps[s], four(a + 4 * s));
    }
    dots[p] = dot;
  }
  if constexpr (P == 2)
    return join_planes(dots[0], dots[1]);
  else
    return dots[0];
}

template <PackedType T, int P, std::size_t N>
void fused_tile(const PackedMatrix& w, std::size_t group, const QuantizedRows& x, std::size_t token,
                const MatmulOutput& out) {
  constexpr Kind kKind = kind_of(T);
  const std::size_t blocks = w.columns / kBlockK;
  const std::byte* quants = w.group(group);
  const std::byte* scales = quants + w.scales_offset();
  F sum[N];
  for (F& s : sum) s = set1(0.0F);
  for (std::size_t b = 0; b < blocks; ++b) {
    B steps[kSteps];
    unpack_block<T>(quants + b * quant_bytes(T), steps);
    prefetch_block<T>(quants + b * quant_bytes(T),
                      scales + w.group_bytes() + b * scale_bytes(T) / (has_super_blocks(T) ? 8 : 1));
    const BlockScale scale = block_scale<T>(scales, b);
    if constexpr (T == PackedType::kU8Sym && kSignedPanel) {
      for (B& s : steps) s = add_bytes(s, -128);
    }
    for (std::size_t n = 0; n < N; ++n) {
      const std::size_t at = (token + n) * blocks + b;
      const std::size_t a = at * kBlockK;
      I dot = zero_int();
      I second = zero_int();
      if constexpr (T == PackedType::kU8Sym) {
        if constexpr (!kSignedPanel) dot = set1_int(x.shift32[at]);
        dot = dot_steps<true, P>(dot, steps, kSteps, x, a);
      } else if constexpr (kKind == Kind::kSym16) {
        dot = dot_steps<false, P>(fused_start<T>(x.shift[2 * at]), steps, 4, x, a);
        second = dot_steps<false, P>(fused_start<T>(x.shift[2 * at + 1]), steps + 4, 4, x, a + 16);
      } else {
        dot = dot_steps<false, P>(fused_start<T>(x.shift32[at]), steps, kSteps, x, a);
      }
      sum[n] = add_block<kKind>(sum[n], dot, second, scale, x.scale[at], x.scaled_sum[at]);
    }
  }
  for (std::size_t n = 0; n < N; ++n) store_result(sum[n], w, group, token + n, out);
}

template <PackedType T, int P>
void fused_group(const PackedMatrix& w, std::size_t group, const QuantizedRows& x, std::size_t tokens,
                 const MatmulOutput& out) {
  std::size_t t = 0;
  for (; t + kFusedTokens <= tokens; t += kFusedTokens) fused_tile<T, P, kFusedTokens>(w, group, x, t, out);
  switch (tokens - t) {
    case 3:
      fused_tile<T, P, 3>(w, group, x, t, out);
      break;
    case 2:
      fused_tile<T, P, 2>(w, group, x, t, out);
      break;
    case 1:
      fused_tile<T, P, 1>(w, group, x, t, out);
      break;
    default:
      break;
  }
}

// A group unpacked: bytes [blocks][8 steps][64], then scales [blocks]{ d[16], e[16] } floats. Symmetric bytes
// are u - offset where the instruction set multiplies signed bytes (kSignedPanel), else u - offset + 128,
// whose dot starts at -128 * sum q.
struct Panel {
  std::byte* bytes;
  float* scales;
};

inline std::size_t panel_bytes(std::size_t k) {
  return k / kBlockK * (kPanelBlockBytes + 32 * sizeof(float));
}
inline Panel panel_at(std::byte* scratch, std::size_t k, std::size_t index) {
  std::byte* base = scratch + index * panel_bytes(k);
  return {base, reinterpret_cast<float*>(base + k / kBlockK * kPanelBlockBytes)};
}

template <PackedType T>
void fill_panel(const PackedMatrix& w, std::size_t group, const Panel& panel) {
  constexpr int kOffset = offset_of(T);
  const std::byte* quants = w.group(group);
  const std::byte* scales = quants + w.scales_offset();
  for (std::size_t b = 0; b < w.columns / kBlockK; ++b) {
    B steps[kSteps];
    unpack_block<T>(quants + b * quant_bytes(T), steps);
    for (std::size_t s = 0; s < kSteps; ++s) {
      if constexpr (kOffset != 0) {
        constexpr int kMove = kSignedPanel ? -kOffset : 128 - kOffset;
        if constexpr (kMove != 0) steps[s] = add_bytes(steps[s], static_cast<std::int8_t>(kMove));
      }
      store_bytes(panel.bytes + b * kPanelBlockBytes + 64 * s, steps[s]);
    }
    const BlockScale scale = block_scale<T>(scales, b);
    store(panel.scales + 32 * b, scale.d);
    store(panel.scales + 32 * b + 16, scale.e);
  }
}

template <Kind K, int P, int G, int N>
void panel_tile(const Panel* panels, const PackedMatrix& w, std::size_t group, const QuantizedRows& x,
                std::size_t token, const MatmulOutput& out) {
  const std::size_t blocks = w.columns / kBlockK;
  F sum[G][N];
  for (auto& row : sum) {
    for (F& s : row) s = set1(0.0F);
  }
  for (std::size_t b = 0; b < blocks; ++b) {
    const std::size_t a = (token * blocks + b) * kBlockK;
    constexpr int kHalves = K == Kind::kSym16 ? 2 : 1;
    constexpr std::size_t kHalfSteps = kSteps / kHalves;
    for (int half = 0; half < kHalves; ++half) {
      I dot[P][G][N];
      for (int n = 0; n < N; ++n) {
        const std::size_t at = (token + static_cast<std::size_t>(n)) * blocks + b;
        I start = zero_int();
        if constexpr (K == Kind::kSym && !kSignedPanel) start = set1_int(x.shift32[at]);
        if constexpr (K == Kind::kSym16 && !kSignedPanel) {
          start = set1_int(x.shift[2 * at + static_cast<std::size_t>(half)]);
        }
        for (int p = 0; p < P; ++p) {
          for (int g = 0; g < G; ++g) dot[p][g][n] = p == P - 1 ? start : zero_int();
        }
      }
      for (std::size_t step = 0; step < kHalfSteps; ++step) {
        const std::size_t s = static_cast<std::size_t>(half) * kHalfSteps + step;
        B weights[G];
        for (int g = 0; g < G; ++g) weights[g] = load_bytes(panels[g].bytes + b * kPanelBlockBytes + 64 * s);
        for (int p = 0; p < P; ++p) {
          const std::int8_t* plane = (p == 0 ? x.q : x.low) + a + 4 * s;
          for (int n = 0; n < N; ++n) {
            const A act = four(plane + static_cast<std::size_t>(n) * w.columns);
            for (int g = 0; g < G; ++g) dot[p][g][n] = dot_panel(dot[p][g][n], weights[g], act);
          }
        }
      }
      for (int g = 0; g < G; ++g) {
        const float* scales = panels[g].scales + 32 * b;
        const F d = load(scales + 16 * half);
        const F m = load(scales + 16);
        for (int n = 0; n < N; ++n) {
          const std::size_t at = (token + static_cast<std::size_t>(n)) * blocks + b;
          I whole = dot[0][g][n];
          if constexpr (P == 2) whole = join_planes(dot[0][g][n], dot[1][g][n]);
          sum[g][n] = fma(mul(to_float(whole), d), set1(x.scale[at]), sum[g][n]);
          if constexpr (K == Kind::kAffine) sum[g][n] = fma(m, set1(x.scaled_sum[at]), sum[g][n]);
        }
      }
    }
  }
  for (int g = 0; g < G; ++g) {
    for (int n = 0; n < N; ++n) {
      store_result(sum[g][n], w, group + static_cast<std::size_t>(g), token + static_cast<std::size_t>(n),
                   out);
    }
  }
}

template <Kind K, int P, int G, int N>
void panel_tail(const Panel* panels, const PackedMatrix& w, std::size_t group, const QuantizedRows& x,
                std::size_t token, std::size_t left, const MatmulOutput& out) {
  if constexpr (N > 0) {
    if (left == static_cast<std::size_t>(N))
      panel_tile<K, P, G, N>(panels, w, group, x, token, out);
    else
      panel_tail<K, P, G, N - 1>(panels, w, group, x, token, left, out);
  }
}

template <Kind K, int P, int G>
void panel_groups(const Panel* panels, const PackedMatrix& w, std::size_t group, const QuantizedRows& x,
                  std::size_t tokens, const MatmulOutput& out) {
  constexpr int kTokens =
      P == 2 ? (kTileTokens * 2 + 2) / 3 : kTileTokens;  // a second plane takes registers too
  std::size_t t = 0;
  for (; t + kTokens <= tokens; t += kTokens) panel_tile<K, P, G, kTokens>(panels, w, group, x, t, out);
  panel_tail<K, P, G, kTokens - 1>(panels, w, group, x, t, tokens - t, out);
}

template <PackedType T, int P>
void matmul_planes(const PackedMatrix& w, std::size_t first_group, std::size_t last_group,
                   const QuantizedRows& x, std::size_t tokens, const MatmulOutput& out, std::byte* scratch) {
  if (tokens <= kFusedLimit) {
    for (std::size_t g = first_group; g < last_group; ++g) fused_group<T, P>(w, g, x, tokens, out);
    return;
  }
  Panel panels[kTileGroups];
  for (std::size_t g = first_group; g < last_group;) {
    const std::size_t count = last_group - g < kTileGroups ? 1 : kTileGroups;
    for (std::size_t i = 0; i < count; ++i) {
      panels[i] = panel_at(scratch, w.columns, i);
      fill_panel<T>(w, g + i, panels[i]);
    }
    if (count == kTileGroups)
      panel_groups<kind_of(T), P, kTileGroups>(panels, w, g, x, tokens, out);
    else
      panel_groups<kind_of(T), P, 1>(panels, w, g, x, tokens, out);
    g += count;
  }
}

template <PackedType T>
void matmul_as(const PackedMatrix& w, std::size_t first_group, std::size_t last_group, const QuantizedRows& x,
               std::size_t tokens, const MatmulOutput& out, std::byte* scratch) {
  if (x.low != nullptr)
    matmul_planes<T, 2>(w, first_group, last_group, x, tokens, out, scratch);
  else
    matmul_planes<T, 1>(w, first_group, last_group, x, tokens, out, scratch);
}

void matmul(const PackedMatrix& w, std::size_t first_group, std::size_t last_group, const QuantizedRows& x,
            std::size_t tokens, const MatmulOutput& out, std::byte* scratch) {
  switch (w.type) {
    case PackedType::kU4Sym:
      return matmul_as<PackedType::kU4Sym>(w, first_group, last_group, x, tokens, out, scratch);
    case PackedType::kU4Affine:
      return matmul_as<PackedType::kU4Affine>(w, first_group, last_group, x, tokens, out, scratch);
    case PackedType::kU5Sym:
      return matmul_as<PackedType::kU5Sym>(w, first_group, last_group, x, tokens, out, scratch);
    case PackedType::kU5Affine:
      return matmul_as<PackedType::kU5Affine>(w, first_group, last_group, x, tokens, out, scratch);
    case PackedType::kU8Sym:
      return matmul_as<PackedType::kU8Sym>(w, first_group, last_group, x, tokens, out, scratch);
    case PackedType::kU4K:
      return matmul_as<PackedType::kU4K>(w, first_group, last_group, x, tokens, out, scratch);
    case PackedType::kU5K:
      return matmul_as<PackedType::kU5K>(w, first_group, last_group, x, tokens, out, scratch);
    case PackedType::kU6K:
      return matmul_as<PackedType::kU6K>(w, first_group, last_group, x, tokens, out, scratch);
    default:
      return;  // unquantised types go to matmul_float
  }
}

template <PackedType T>
inline F load_element(const std::byte* p) {
  if constexpr (T == PackedType::kF32)
    return load(reinterpret_cast<const float*>(p));
  else if constexpr (T == PackedType::kF16)
    return load_f16(p);
  else
    return load_bf16(p);
}

// Four chains by k modulo 4, joined in a fixed order: enough independent FMAs to hide their latency for one
// token.
template <PackedType T, std::size_t N>
void float_tile(const PackedMatrix& w, std::size_t group, const float* x, std::size_t x_stride,
                std::size_t token, const MatmulOutput& out) {
  const std::byte* weights = w.group(group);
  F sum[N][4];
  for (auto& row : sum) {
    for (F& s : row) s = set1(0.0F);
  }
  for (std::size_t k = 0; k < w.columns; k += 4) {
    for (std::size_t c = 0; c < 4; ++c) {
      const F v = load_element<T>(weights + (k + c) * quant_bytes(T));
      for (std::size_t n = 0; n < N; ++n)
        sum[n][c] = fma(v, set1(x[(token + n) * x_stride + k + c]), sum[n][c]);
    }
  }
  for (std::size_t n = 0; n < N; ++n) {
    store_result(add(add(sum[n][0], sum[n][1]), add(sum[n][2], sum[n][3])), w, group, token + n, out);
  }
}

template <PackedType T>
void matmul_float_as(const PackedMatrix& w, std::size_t first_group, std::size_t last_group, const float* x,
                     std::size_t x_stride, std::size_t tokens, const MatmulOutput& out) {
  for (std::size_t g = first_group; g < last_group; ++g) {
    std::size_t t = 0;
    for (; t + 4 <= tokens; t += 4) float_tile<T, 4>(w, g, x, x_stride, t, out);
    for (; t < tokens; ++t) float_tile<T, 1>(w, g, x, x_stride, t, out);
  }
}

void matmul_float(const PackedMatrix& w, std::size_t first_group, std::size_t last_group, const float* x,
                  std::size_t x_stride, std::size_t tokens, const MatmulOutput& out) {
  switch (w.type) {
    case PackedType::kF32:
      return matmul_float_as<PackedType::kF32>(w, first_group, last_group, x, x_stride, tokens, out);
    case PackedType::kF16:
      return matmul_float_as<PackedType::kF16>(w, first_group, last_group, x, x_stride, tokens, out);
    case PackedType::kBF16:
      return matmul_float_as<PackedType::kBF16>(w, first_group, last_group, x, x_stride, tokens, out);
    default:
      return;  // quantised types go to matmul
  }
}

}  // namespace
}  // namespace kvasir::kernels::KVASIR_SIMD
