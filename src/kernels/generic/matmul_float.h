// Matrix products over unquantised weights and FP8 (packed.h), with activations as floats. Compiled once an
// instruction set; see kernels.h for the contract.

namespace kvasir::kernels::KVASIR_SIMD {
namespace {

template <PackedType T>
inline F load_element(const std::byte* p) {
  if constexpr (T == PackedType::kF32)
    return load(reinterpret_cast<const float*>(p));
  else if constexpr (T == PackedType::kF16)
    return load_f16(p);
  else if constexpr (T == PackedType::kF8)
    return load_e4m3(p);
  else
    return load_bf16(p);
}

// Of block b; the kernels need not know how many blocks share it.
inline F element_scale(const PackedMatrix& w, const std::byte* group, std::size_t b) {
  const std::size_t unit = b * kBlockK / w.scale_k;
  const std::byte* p = group + w.scales_offset() + unit * kGroupRows * bytes_of(w.scale_type);
  return mul(load_scale(w.scale_type, p), set1(w.scale_factor));
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
  const std::size_t blocks = w.columns / kBlockK;
  for (std::size_t b = 0; b < blocks; ++b) {
    F scale{};
    if constexpr (T == PackedType::kF8) scale = element_scale(w, weights, b);
    for (std::size_t k = b * kBlockK; k < (b + 1) * kBlockK; k += 4) {
      if constexpr (N == 1) {
        for (std::size_t i = 0; i < 4 * quant_bytes(T); i += 64)
          __builtin_prefetch(weights + k * quant_bytes(T) + kPrefetchBytes + i);
      }
      for (std::size_t c = 0; c < 4; ++c) {
        F v = load_element<T>(weights + (k + c) * quant_bytes(T));
        if constexpr (T == PackedType::kF8) v = mul(v, scale);
        for (std::size_t n = 0; n < N; ++n)
          sum[n][c] = fma(v, set1(x[(token + n) * x_stride + k + c]), sum[n][c]);
      }
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
    case PackedType::kF8:
      return matmul_float_as<PackedType::kF8>(w, first_group, last_group, x, x_stride, tokens, out);
    default:
      return;  // quantised types go to matmul
  }
}

}  // namespace
}  // namespace kvasir::kernels::KVASIR_SIMD
