// What this machine can do at most: loops that only read memory, that only multiply bytes, and that only
// multiply floats. Speeds are reported as shares of these.

namespace kvasir::kernels::KVASIR_SIMD {
namespace {

// What keeps a loop's own instructions out of the figure.
constexpr int kUnrolled = 4;

std::uint8_t read_bytes(const std::byte* data, std::size_t bytes) {
  B sum = load_bytes(data);
  for (std::size_t i = 64; i + 64 <= bytes; i += 64) {
    __builtin_prefetch(data + i + 2048);
    sum = or_high2(sum, load_bytes(data + i));
  }
  std::uint8_t lanes[64];
  store_bytes(lanes, sum);
  std::uint8_t all = 0;
  for (const std::uint8_t v : lanes) all = static_cast<std::uint8_t>(all | v);
  return all;
}

std::int32_t dot_bytes(std::size_t rounds) {
  alignas(64) std::uint8_t bytes[64];
  for (std::size_t i = 0; i < sizeof(bytes); ++i) bytes[i] = static_cast<std::uint8_t>(i + rounds % 2);
  const B w = load_bytes(bytes);
  const A a = four(reinterpret_cast<const std::int8_t*>(bytes) + 4);
  I sum[kLimitChains];
  for (I& s : sum) s = zero_int();
  for (std::size_t r = 0; r < rounds; r += kUnrolled * kLimitChains) {
    for (int u = 0; u < kUnrolled; ++u) {
      for (I& s : sum) s = dot_panel(s, w, a);
    }
  }
  std::int32_t all = 0;
  for (const I& s : sum) all ^= reduce_add_int(s);
  return all;
}

float fma_floats(std::size_t rounds) {
  const F factor = set1(rounds % 2 == 0 ? 0.5F : 0.25F);
  F sum[kLimitChains];
  for (F& s : sum) s = set1(1.0F);
  for (std::size_t r = 0; r < rounds; r += kUnrolled * kLimitChains) {
    for (int u = 0; u < kUnrolled; ++u) {
      for (F& s : sum) s = fma(s, factor, factor);
    }
  }
  float all = 0;
  for (const F& s : sum) all += reduce_add(s);
  return all;
}

#ifdef KVASIR_AVX512_BF16
float dot_pairs(std::size_t rounds) {
  const P factor = set1_pair(rounds % 2 == 0 ? 0x3F003F00U : 0x3E803E80U);  // pairs of 0.5, or of 0.25
  F sum[kLimitChains];
  for (F& s : sum) s = set1(1.0F);
  for (std::size_t r = 0; r < rounds; r += kUnrolled * kLimitChains) {
    for (int u = 0; u < kUnrolled; ++u) {
      for (F& s : sum) s = dot_bf16(s, factor, factor);
    }
  }
  float all = 0;
  for (const F& s : sum) all += reduce_add(s);
  return all;
}
#endif

}  // namespace
}  // namespace kvasir::kernels::KVASIR_SIMD
