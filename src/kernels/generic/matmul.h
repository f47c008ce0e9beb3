// Matrix products over packed quantised weights (packed.h). Compiled once an instruction set; see kernels.h
// for the contract.
//
// Per output (row, token) the float steps are the same on every path, block by block in order of K:
//   symmetric  out = fma(float(dot) * d, s, out)                dot = sum (u - offset) * q, exact in int32
//   affine     out = fma(float(dot) * d, s, out); out = fma(m, s * sum q, out)
// where d, m are the row's and s the token's; twice a block, for each 16 k, where scales change there. Few
// tokens unpack into registers (fused); many unpack a group once into a panel of plain bytes and run register
// tiles over it.

#include <algorithm>

#include "kernels/generic/panel_product.h"
#ifdef KVASIR_AMX
#include "kernels/amx_matmul.h"
#endif

namespace kvasir::kernels::KVASIR_SIMD {
namespace {

constexpr std::size_t kFusedTokens = 4;  // tokens a fused pass keeps in registers
constexpr std::size_t kFusedLimit = 8;   // from more tokens on, a panel pays

// The unpacked u of symmetric types against q: -offset * sum q starts the dot, exactly.
template <PackedType T>
inline I fused_start(std::int32_t shift) {
  constexpr int kOffset = offset_of(T);
  if constexpr (kOffset == 0) return zero_int();
  return set1_int((shift - kSumBase) / (128 / (kOffset == 0 ? 1 : kOffset)));
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

// The dot of `count` steps with one token's planes.
template <bool kPanelBytes, int P>
[[gnu::always_inline]] inline I dot_steps(I start, const B* steps, std::size_t count, const QuantizedRows& x,
                                          std::size_t at) {
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
  constexpr std::size_t kHalves = kKind.halves;
  const std::size_t blocks = w.columns / kBlockK;
  const std::size_t group_bytes = w.group_bytes();
  const std::byte* quants = w.group(group);
  const Scales<T> scales(w, group);
  const Table<T> table(w);
  F sum[N];
  for (F& s : sum) s = set1(0.0F);
  for (std::size_t b = 0; b < blocks; ++b) {
    B steps[kSteps];
    unpack_block(quants, b, table, steps);
    prefetch_block<T>(quants + b * quant_bytes(T), scales.near(b) + group_bytes);
    const BlockScale scale = scales.block(b);
    if constexpr (kKind.wide && panel_move<T>() != 0) {
      for (B& s : steps) s = add_bytes(s, static_cast<std::int8_t>(panel_move<T>()));
    }
    for (std::size_t n = 0; n < N; ++n) {
      const std::size_t at = (token + n) * blocks + b;
      const F s = set1(x.scale[at]);
      for (std::size_t h = 0; h < kHalves; ++h) {
        const std::int32_t shift = shift_of(x, at, kKind.halves, h);
        I start = fused_start<T>(shift);
        if constexpr (kKind.wide) start = panel_start<kKind.affine, true>(shift);
        constexpr std::size_t kCount = kSteps / kHalves;
        const I dot = dot_steps<kKind.wide, P>(start, steps + h * kCount, kCount, x, at * kBlockK + h * 16);
        sum[n] = fma(mul(to_float(dot), scale.d[h]), s, sum[n]);
        if constexpr (kKind.affine)
          sum[n] = fma(scale.m[h], set1(scaled_sum<kKind.halves>(x, at, h)), sum[n]);
      }
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

template <PackedType T, int P>
void matmul_planes(const PackedMatrix& w, std::size_t first_group, std::size_t last_group,
                   const QuantizedRows& x, std::size_t tokens, const MatmulOutput& out, std::byte* scratch) {
  if (tokens <= kFusedLimit) {
    for (std::size_t g = first_group; g < last_group; ++g) fused_group<T, P>(w, g, x, tokens, out);
    return;
  }
#ifdef KVASIR_AMX
  if constexpr (kind_of(T).halves == 1) {
    if (tokens >= kTileRows) return tile_product<T, P>({w, x, out}, first_group, last_group, tokens, scratch);
  }
#endif
  std::size_t g = first_group;
  for (; g + kTileGroups <= last_group; g += kTileGroups) {
    if constexpr (kTileGroups > 1 && (P == 2 || exact_scales<T>())) {
      if (tokens * P <= kPartTokens) {
        panel_parts<T, P, kTileGroups>(w, g, x, tokens, out, scratch);
        continue;
      }
    }
    panel_groups<T, P, kTileGroups>(w, g, x, tokens, out, scratch);
  }
  if constexpr (kTileGroups > 1) {
    for (; g < last_group; ++g) panel_groups<T, P, 1>(w, g, x, tokens, out, scratch);
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
    case PackedType::kU5Sym:
      return matmul_as<PackedType::kU5Sym>(w, first_group, last_group, x, tokens, out, scratch);
    case PackedType::kU8Sym:
      return matmul_as<PackedType::kU8Sym>(w, first_group, last_group, x, tokens, out, scratch);
    case PackedType::kU2Sym:
      return matmul_as<PackedType::kU2Sym>(w, first_group, last_group, x, tokens, out, scratch);
    case PackedType::kU2Affine:
      return matmul_as<PackedType::kU2Affine>(w, first_group, last_group, x, tokens, out, scratch);
    case PackedType::kU3Affine:
      return matmul_as<PackedType::kU3Affine>(w, first_group, last_group, x, tokens, out, scratch);
    case PackedType::kU4Affine:
      return matmul_as<PackedType::kU4Affine>(w, first_group, last_group, x, tokens, out, scratch);
    case PackedType::kU5Affine:
      return matmul_as<PackedType::kU5Affine>(w, first_group, last_group, x, tokens, out, scratch);
    case PackedType::kU6Affine:
      return matmul_as<PackedType::kU6Affine>(w, first_group, last_group, x, tokens, out, scratch);
    case PackedType::kU8Affine:
      return matmul_as<PackedType::kU8Affine>(w, first_group, last_group, x, tokens, out, scratch);
    case PackedType::kU2K:
      return matmul_as<PackedType::kU2K>(w, first_group, last_group, x, tokens, out, scratch);
    case PackedType::kU3K:
      return matmul_as<PackedType::kU3K>(w, first_group, last_group, x, tokens, out, scratch);
    case PackedType::kU4K:
      return matmul_as<PackedType::kU4K>(w, first_group, last_group, x, tokens, out, scratch);
    case PackedType::kU5K:
      return matmul_as<PackedType::kU5K>(w, first_group, last_group, x, tokens, out, scratch);
    case PackedType::kU6K:
      return matmul_as<PackedType::kU6K>(w, first_group, last_group, x, tokens, out, scratch);
    case PackedType::kTrit:
      return matmul_as<PackedType::kTrit>(w, first_group, last_group, x, tokens, out, scratch);
    case PackedType::kOct8:
      return matmul_as<PackedType::kOct8>(w, first_group, last_group, x, tokens, out, scratch);
    case PackedType::kOct9x16:
      return matmul_as<PackedType::kOct9x16>(w, first_group, last_group, x, tokens, out, scratch);
    case PackedType::kOct10x16:
      return matmul_as<PackedType::kOct10x16>(w, first_group, last_group, x, tokens, out, scratch);
    case PackedType::kOct11:
      return matmul_as<PackedType::kOct11>(w, first_group, last_group, x, tokens, out, scratch);
    case PackedType::kOct11x16:
      return matmul_as<PackedType::kOct11x16>(w, first_group, last_group, x, tokens, out, scratch);
    case PackedType::kQuad8:
      return matmul_as<PackedType::kQuad8>(w, first_group, last_group, x, tokens, out, scratch);
    case PackedType::kQuad9:
      return matmul_as<PackedType::kQuad9>(w, first_group, last_group, x, tokens, out, scratch);
    case PackedType::kT4:
      return matmul_as<PackedType::kT4>(w, first_group, last_group, x, tokens, out, scratch);
    case PackedType::kT4x16:
      return matmul_as<PackedType::kT4x16>(w, first_group, last_group, x, tokens, out, scratch);
    default:
      return;  // unquantised types go to matmul_float
  }
}

}  // namespace
}  // namespace kvasir::kernels::KVASIR_SIMD
