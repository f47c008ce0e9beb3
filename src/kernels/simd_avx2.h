// Thin primitives, AVX2 (with FMA and F16C): 16 lanes are two registers. Included by avx2.cpp and
// avxvnni.cpp, which differ in KVASIR_AVX_NAMESPACE and, under KVASIR_AVX_VNNI, in the dot instruction. No
// include guard by design: each translation unit includes it once, under its own namespace.

#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace kvasir::kernels::KVASIR_AVX_NAMESPACE {

inline constexpr int kTileGroups = 1;
inline constexpr int kTileTokens = 2;
inline constexpr int kAttentionRows = 6;
inline constexpr int kAttentionVectors = 1;
inline constexpr int kFewTile = 6;
inline constexpr int kFewSums = 4;
inline constexpr int kLimitChains = 6;  // sums side by side: cover the latency, fit the registers
#ifdef KVASIR_AVX_VNNI
inline constexpr const char* kName = "avxvnni";
inline constexpr bool kSignedPanel = false;
#else
inline constexpr const char* kName = "avx2";
inline constexpr bool kSignedPanel = true;
#endif

struct F {
  __m256 a, b;
};
struct I {
  __m256i a, b;
};
struct B {
  __m256i a, b;
};
using A = __m256i;

inline F load(const float* p) {
  return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}
inline void store(float* p, F x) {
  _mm256_storeu_ps(p, x.a);
  _mm256_storeu_ps(p + 8, x.b);
}
inline F set1(float x) {
  return {_mm256_set1_ps(x), _mm256_set1_ps(x)};
}
inline F add(F x, F y) {
  return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)};
}
inline F sub(F x, F y) {
  return {_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)};
}
inline F mul(F x, F y) {
  return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)};
}
inline F div(F x, F y) {
  return {_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)};
}
inline F fma(F x, F y, F z) {
  return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)};
}
inline F max(F x, F y) {
  return {_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)};
}
inline F min(F x, F y) {
  return {_mm256_min_ps(x.a, y.a), _mm256_min_ps(x.b, y.b)};
}
inline F abs(F x) {
  const __m256 m = _mm256_castsi256_ps(_mm256_set1_epi32(0x7FFFFFFF));
  return {_mm256_and_ps(x.a, m), _mm256_and_ps(x.b, m)};
}
inline F keep_first(F x, int n, float rest) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  const __m256 keep_a = _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32(n), lane));
  const __m256 keep_b = _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32(n - 8), lane));
  const __m256 r = _mm256_set1_ps(rest);
  return {_mm256_blendv_ps(r, x.a, keep_a), _mm256_blendv_ps(r, x.b, keep_b)};
}
inline float reduce_add(F x) {
  const __m256 h8 = _mm256_add_ps(x.a, x.b);
  const __m128 h4 = _mm_add_ps(_mm256_castps256_ps128(h8), _mm256_extractf128_ps(h8, 1));
  const __m128 h2 = _mm_add_ps(h4, _mm_movehl_ps(h4, h4));
  return _mm_cvtss_f32(_mm_add_ss(h2, _mm_shuffle_ps(h2, h2, 1)));
}
inline float reduce_max(F x) {
  const __m256 h8 = _mm256_max_ps(x.a, x.b);
  const __m128 h4 = _mm_max_ps(_mm256_castps256_ps128(h8), _mm256_extractf128_ps(h8, 1));
  const __m128 h2 = _mm_max_ps(h4, _mm_movehl_ps(h4, h4));
  return _mm_cvtss_f32(_mm_max_ss(h2, _mm_shuffle_ps(h2, h2, 1)));
}
inline F load_f16(const void* p) {
  const auto* h = static_cast<const __m128i*>(p);
  return {_mm256_cvtph_ps(_mm_loadu_si128(h)), _mm256_cvtph_ps(_mm_loadu_si128(h + 1))};
}
inline F load_bf16(const void* p) {
  const auto* h = static_cast<const __m128i*>(p);
  const auto widen = [](__m128i x) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(x), 16));
  };
  return {widen(_mm_loadu_si128(h)), widen(_mm_loadu_si128(h + 1))};
}
inline void store_f16(void* p, F x) {
  auto* h = static_cast<__m128i*>(p);
  _mm_storeu_si128(h, _mm256_cvtps_ph(x.a, _MM_FROUND_TO_NEAREST_INT));
  _mm_storeu_si128(h + 1, _mm256_cvtps_ph(x.b, _MM_FROUND_TO_NEAREST_INT));
}
inline __m256i round_to_bf16(__m256 x) {
  const __m256i bits = _mm256_castps_si256(x);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  return _mm256_srli_epi32(_mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7FFF)), odd), 16);
}
inline void store_bf16(void* p, F x) {
  const __m256i w = _mm256_packus_epi32(round_to_bf16(x.a), round_to_bf16(x.b));
  _mm256_storeu_si256(static_cast<__m256i*>(p), _mm256_permute4x64_epi64(w, 0xD8));
}
inline F widen_u8(__m128i x) {
  return {_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(x)),
          _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_srli_si128(x, 8)))};
}
inline F load_u8(const void* p) {
  return widen_u8(_mm_loadu_si128(static_cast<const __m128i*>(p)));
}
inline F load_low_nibbles(const void* p) {
  return widen_u8(_mm_and_si128(_mm_loadu_si128(static_cast<const __m128i*>(p)), _mm_set1_epi8(15)));
}
inline F load_high_nibbles(const void* p) {
  const __m128i x = _mm_srli_epi16(_mm_loadu_si128(static_cast<const __m128i*>(p)), 4);
  return widen_u8(_mm_and_si128(x, _mm_set1_epi8(15)));
}
inline F load_i8(const void* p) {
  const __m128i x = _mm_loadu_si128(static_cast<const __m128i*>(p));
  return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(x)),
          _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(x, 8)))};
}
inline F load_e8m0(const void* p) {
  const __m128i x = _mm_loadu_si128(static_cast<const __m128i*>(p));
  const __m256i least = _mm256_set1_epi32(0x00400000);
  const auto widen = [&](__m128i bytes) {
    const __m256i e = _mm256_slli_epi32(_mm256_cvtepu8_epi32(bytes), 23);
    return _mm256_castsi256_ps(_mm256_max_epi32(e, least));
  };
  return {widen(x), widen(_mm_srli_si128(x, 8))};
}
inline F load_e4m3(const void* p) {
  const __m256i x = _mm256_cvtepu8_epi16(_mm_loadu_si128(static_cast<const __m128i*>(p)));
  const __m256i sign = _mm256_slli_epi16(_mm256_and_si256(x, _mm256_set1_epi16(0x80)), 8);
  const __m256i rest = _mm256_slli_epi16(_mm256_and_si256(x, _mm256_set1_epi16(0x7F)), 7);
  const __m256i half = _mm256_or_si256(sign, rest);
  const __m256 bias = _mm256_set1_ps(256.0F);
  return {_mm256_mul_ps(_mm256_cvtph_ps(_mm256_castsi256_si128(half)), bias),
          _mm256_mul_ps(_mm256_cvtph_ps(_mm256_extracti128_si256(half, 1)), bias)};
}
inline F pow2(I e) {
  const __m256i bias = _mm256_set1_epi32(127);
  return {_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(e.a, bias), 23)),
          _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(e.b, bias), 23))};
}
inline I to_int(F x) {
  return {_mm256_cvtps_epi32(x.a), _mm256_cvtps_epi32(x.b)};
}
inline F to_float(I x) {
  return {_mm256_cvtepi32_ps(x.a), _mm256_cvtepi32_ps(x.b)};
}
inline F as_float(I x) {
  return {_mm256_castsi256_ps(x.a), _mm256_castsi256_ps(x.b)};
}
inline I as_int(F x) {
  return {_mm256_castps_si256(x.a), _mm256_castps_si256(x.b)};
}
inline void store_i8(std::int8_t* p, I x) {
  const __m256i w = _mm256_permute4x64_epi64(_mm256_packs_epi32(x.a, x.b), 0xD8);
  const __m128i n = _mm_packs_epi16(_mm256_castsi256_si128(w), _mm256_extracti128_si256(w, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), n);
}
inline std::int32_t reduce_add_int(I x) {
  const __m256i h8 = _mm256_add_epi32(x.a, x.b);
  __m128i h4 = _mm_add_epi32(_mm256_castsi256_si128(h8), _mm256_extracti128_si256(h8, 1));
  h4 = _mm_add_epi32(h4, _mm_shuffle_epi32(h4, 0x4E));
  h4 = _mm_add_epi32(h4, _mm_shuffle_epi32(h4, 0xB1));
  return _mm_cvtsi128_si32(h4);
}
inline I zero_int() {
  return {_mm256_setzero_si256(), _mm256_setzero_si256()};
}
inline I set1_int(std::int32_t x) {
  return {_mm256_set1_epi32(x), _mm256_set1_epi32(x)};
}
inline I add_int(I x, I y) {
  return {_mm256_add_epi32(x.a, y.a), _mm256_add_epi32(x.b, y.b)};
}
inline I sub_int(I x, I y) {
  return {_mm256_sub_epi32(x.a, y.a), _mm256_sub_epi32(x.b, y.b)};
}
inline I shift_left7(I x) {
  return {_mm256_slli_epi32(x.a, 7), _mm256_slli_epi32(x.b, 7)};
}
inline I shift_right7(I x) {
  return {_mm256_srai_epi32(x.a, 7), _mm256_srai_epi32(x.b, 7)};
}
inline I or_int(I x, I y) {
  return {_mm256_or_si256(x.a, y.a), _mm256_or_si256(x.b, y.b)};
}
template <std::int32_t kMask>
inline I or_masked(I x, I y) {
  const __m256i m = _mm256_set1_epi32(kMask);
  return {_mm256_or_si256(x.a, _mm256_and_si256(y.a, m)), _mm256_or_si256(x.b, _mm256_and_si256(y.b, m))};
}
template <int kBits>
inline I shift(I x) {
  if constexpr (kBits < 0)
    return {_mm256_srli_epi32(x.a, -kBits), _mm256_srli_epi32(x.b, -kBits)};
  else
    return {_mm256_slli_epi32(x.a, kBits), _mm256_slli_epi32(x.b, kBits)};
}
inline I shift_right31(I x) {
  return {_mm256_srai_epi32(x.a, 31), _mm256_srai_epi32(x.b, 31)};
}
inline I widen_u8_lanes(__m128i x) {
  return {_mm256_cvtepu8_epi32(x), _mm256_cvtepu8_epi32(_mm_srli_si128(x, 8))};
}
inline I load_u8_lanes(const void* p) {
  return widen_u8_lanes(_mm_loadu_si128(static_cast<const __m128i*>(p)));
}
inline I load_u16_lanes(const void* p) {
  const auto* h = static_cast<const __m128i*>(p);
  return {_mm256_cvtepu16_epi32(_mm_loadu_si128(h)), _mm256_cvtepu16_epi32(_mm_loadu_si128(h + 1))};
}
inline I load_nibble_lanes(const void* p) {
  const __m128i x = _mm_loadl_epi64(static_cast<const __m128i*>(p));
  return widen_u8_lanes(_mm_unpacklo_epi64(x, _mm_srli_epi64(x, 4)));
}

inline B load_bytes(const void* p) {
  const auto* v = static_cast<const __m256i*>(p);
  return {_mm256_loadu_si256(v), _mm256_loadu_si256(v + 1)};
}
inline void store_bytes(void* p, B x) {
  auto* v = static_cast<__m256i*>(p);
  _mm256_storeu_si256(v, x.a);
  _mm256_storeu_si256(v + 1, x.b);
}
template <int kShift>
inline B bits(B x, std::uint8_t mask) {
  const __m256i m = _mm256_set1_epi8(static_cast<char>(mask));
  return {_mm256_and_si256(_mm256_srli_epi16(x.a, kShift), m),
          _mm256_and_si256(_mm256_srli_epi16(x.b, kShift), m)};
}
// 32 bits -> 32 bytes, each -1 or 0.
inline __m256i spread_mask(std::uint32_t w) {
  const __m256i source = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2,
                                          2, 3, 3, 3, 3, 3, 3, 3, 3);
  const __m256i one_bit = _mm256_set1_epi64x(static_cast<long long>(0x8040201008040201ULL));
  const __m256i bytes = _mm256_shuffle_epi8(_mm256_set1_epi32(static_cast<int>(w)), source);
  return _mm256_cmpeq_epi8(_mm256_and_si256(bytes, one_bit), one_bit);
}
// ... each 1 << kBit or 0.
template <int kBit>
inline __m256i spread_bit(std::uint32_t w) {
  return _mm256_and_si256(spread_mask(w), _mm256_set1_epi8(1 << kBit));
}
template <int kBit>
inline B or_bit(B x, const void* word64) {
  std::uint32_t w[2];
  std::memcpy(w, word64, sizeof(w));
  return {_mm256_or_si256(x.a, spread_bit<kBit>(w[0])), _mm256_or_si256(x.b, spread_bit<kBit>(w[1]))};
}
inline B or_high2(B x, B two) {
  return {_mm256_or_si256(x.a, _mm256_slli_epi16(two.a, 4)),
          _mm256_or_si256(x.b, _mm256_slli_epi16(two.b, 4))};
}
inline B look_up(B table, B codes) {
  return {_mm256_shuffle_epi8(table.a, codes.a), _mm256_shuffle_epi8(table.b, codes.b)};
}
inline B negate(B x, const void* word64) {
  std::uint32_t w[2];
  std::memcpy(w, word64, sizeof(w));
  const auto part = [](__m256i v, __m256i mask) { return _mm256_sub_epi8(_mm256_xor_si256(v, mask), mask); };
  return {part(x.a, spread_mask(w[0])), part(x.b, spread_mask(w[1]))};
}
inline B add_lanes(B x, I lanes) {
  return {_mm256_add_epi8(x.a, lanes.a), _mm256_add_epi8(x.b, lanes.b)};
}
inline B look_up_4(const void* table, I index) {
  const auto* t = static_cast<const int*>(table);
  return {_mm256_i32gather_epi32(t, index.a, 4), _mm256_i32gather_epi32(t, index.b, 4)};
}
inline void look_up_8(const void* table, I index, B& first, B& last) {
  const auto* t = static_cast<const long long*>(table);
  // A shuffle takes from both of its operands within each half, so rows 0, 1, 4, 5 and 2, 3, 6, 7 go
  // together.
  const __m256i order = _mm256_setr_epi32(0, 1, 4, 5, 2, 3, 6, 7);
  const auto eight = [&](__m256i i, __m256i& even, __m256i& odd) {
    const __m256i at = _mm256_permutevar8x32_epi32(i, order);
    const auto four_of = [&](__m128i four_rows) {
      return _mm256_castsi256_ps(_mm256_i32gather_epi64(t, four_rows, 8));
    };
    const __m256 x = four_of(_mm256_castsi256_si128(at));
    const __m256 y = four_of(_mm256_extracti128_si256(at, 1));
    even = _mm256_castps_si256(_mm256_shuffle_ps(x, y, 0x88));
    odd = _mm256_castps_si256(_mm256_shuffle_ps(x, y, 0xDD));
  };
  eight(index.a, first.a, last.a);
  eight(index.b, first.b, last.b);
}
inline B look_up_32(B low, B high, B codes, const void* word64) {
  std::uint32_t w[2];
  std::memcpy(w, word64, sizeof(w));
  const auto part = [](__m256i first, __m256i second, __m256i code, std::uint32_t word) {
    return _mm256_blendv_epi8(_mm256_shuffle_epi8(first, code), _mm256_shuffle_epi8(second, code),
                              spread_mask(word));
  };
  return {part(low.a, high.a, codes.a, w[0]), part(low.b, high.b, codes.b, w[1])};
}
inline B add_bytes(B x, std::int8_t n) {
  const __m256i v = _mm256_set1_epi8(n);
  return {_mm256_add_epi8(x.a, v), _mm256_add_epi8(x.b, v)};
}
inline A four(const std::int8_t* p) {
  std::int32_t a = 0;
  std::memcpy(&a, p, sizeof(a));
  return _mm256_set1_epi32(a);
}
#ifdef KVASIR_AVX_VNNI
inline I dot_small(I acc, B w, A a) {
  return {_mm256_dpbusd_avx_epi32(acc.a, w.a, a), _mm256_dpbusd_avx_epi32(acc.b, w.b, a)};
}
inline I dot_panel(I acc, B w, A a) {
  return dot_small(acc, w, a);
}
#else
// maddubs saturates at 16 bits: pairs stay below for u <= 127 (127 * 127 * 2 = 32258) ...
inline __m256i dot4(__m256i acc, __m256i unsigned_w, __m256i signed_a) {
  const __m256i pairs = _mm256_maddubs_epi16(unsigned_w, signed_a);
  return _mm256_add_epi32(acc, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
inline I dot_small(I acc, B w, A a) {
  return {dot4(acc.a, w.a, a), dot4(acc.b, w.b, a)};
}
// ... and for signed weights |w| <= 128 against |a| <= 127 with the sign moved over (128 * 127 * 2 = 32512).
inline I dot_panel(I acc, B w, A a) {
  return {dot4(acc.a, _mm256_abs_epi8(w.a), _mm256_sign_epi8(a, w.a)),
          dot4(acc.b, _mm256_abs_epi8(w.b), _mm256_sign_epi8(a, w.b))};
}
#endif

}  // namespace kvasir::kernels::KVASIR_AVX_NAMESPACE
