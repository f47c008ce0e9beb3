// Thin primitives, AVX-512 with VNNI: 16 lanes are one register. Included by avx512vnni.cpp, avx512bf16.cpp
// and avx512amx.cpp, which differ in KVASIR_AVX512_NAMESPACE, which is also their name, and, under
// KVASIR_AVX512_BF16, in the bf16 dot. No include guard by design: each translation unit includes it once,
// under its own namespace.

#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace kvasir::kernels::KVASIR_AVX512_NAMESPACE {

#define KVASIR_TEXT_OF(name) #name
#define KVASIR_TEXT(name) KVASIR_TEXT_OF(name)
inline constexpr const char* kName = KVASIR_TEXT(KVASIR_AVX512_NAMESPACE);
inline constexpr int kTileGroups = 2;
inline constexpr int kTileTokens = 6;
inline constexpr int kAttentionRows = 6;
inline constexpr int kAttentionVectors = 4;
inline constexpr int kFewTile = 8;
inline constexpr int kFewSums = 16;
inline constexpr int kLimitChains = 12;  // sums side by side: cover the latency, fit the registers
inline constexpr bool kSignedPanel = false;

using F = __m512;
using I = __m512i;
struct B {
  __m512i v;
};
using A = __m512i;

inline F load(const float* p) {
  return _mm512_loadu_ps(p);
}
inline void store(float* p, F a) {
  _mm512_storeu_ps(p, a);
}
inline F set1(float x) {
  return _mm512_set1_ps(x);
}
inline F add(F a, F b) {
  return _mm512_add_ps(a, b);
}
inline F sub(F a, F b) {
  return _mm512_sub_ps(a, b);
}
inline F mul(F a, F b) {
  return _mm512_mul_ps(a, b);
}
inline F div(F a, F b) {
  return _mm512_div_ps(a, b);
}
inline F fma(F a, F b, F c) {
  return _mm512_fmadd_ps(a, b, c);
}
inline F max(F a, F b) {
  return _mm512_max_ps(a, b);
}
inline F min(F a, F b) {
  return _mm512_min_ps(a, b);
}
inline F abs(F a) {
  return _mm512_abs_ps(a);
}
inline F keep_first(F a, int n, float rest) {
  const auto mask = static_cast<__mmask16>((1U << n) - 1U);
  return _mm512_mask_blend_ps(mask, _mm512_set1_ps(rest), a);
}
inline float reduce_add(F a) {
  const __m256 h8 = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
  const __m128 h4 = _mm_add_ps(_mm256_castps256_ps128(h8), _mm256_extractf128_ps(h8, 1));
  const __m128 h2 = _mm_add_ps(h4, _mm_movehl_ps(h4, h4));
  return _mm_cvtss_f32(_mm_add_ss(h2, _mm_shuffle_ps(h2, h2, 1)));
}
inline float reduce_max(F a) {
  return _mm512_reduce_max_ps(a);
}
inline F load_f16(const void* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i*>(p)));
}
inline F load_bf16(const void* p) {
  const __m256i h = _mm256_loadu_si256(static_cast<const __m256i*>(p));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
}
inline void store_f16(void* p, F a) {
  _mm256_storeu_si256(static_cast<__m256i*>(p),
                      _mm512_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
inline void store_bf16(void* p, F a) {
  const __m512i bits = _mm512_castps_si512(a);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i sum = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7FFF)), odd);
  _mm256_storeu_si256(static_cast<__m256i*>(p), _mm512_cvtepi32_epi16(_mm512_srli_epi32(sum, 16)));
}
inline F load_u8(const void* p) {
  return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(static_cast<const __m128i*>(p))));
}
inline F load_low_nibbles(const void* p) {
  const __m128i x = _mm_loadu_si128(static_cast<const __m128i*>(p));
  return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_and_si128(x, _mm_set1_epi8(15))));
}
inline F load_high_nibbles(const void* p) {
  const __m128i x = _mm_srli_epi16(_mm_loadu_si128(static_cast<const __m128i*>(p)), 4);
  return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_and_si128(x, _mm_set1_epi8(15))));
}
inline F load_i8(const void* p) {
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(static_cast<const __m128i*>(p))));
}
inline F load_e8m0(const void* p) {
  const __m512i e = _mm512_cvtepu8_epi32(_mm_loadu_si128(static_cast<const __m128i*>(p)));
  return _mm512_castsi512_ps(_mm512_max_epi32(_mm512_slli_epi32(e, 23), _mm512_set1_epi32(0x00400000)));
}
inline F load_e4m3(const void* p) {
  // The sign comes to bit 15, and a copy of it to bit 14, the exponent's highest.
  const __m256i x = _mm256_cvtepi8_epi16(_mm_loadu_si128(static_cast<const __m128i*>(p)));
  const __m256i half =
      _mm256_and_si256(_mm256_slli_epi16(x, 7), _mm256_set1_epi16(static_cast<short>(0xBF80)));
  return _mm512_mul_ps(_mm512_cvtph_ps(half), _mm512_set1_ps(256.0F));
}
inline F pow2(I e) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(e, _mm512_set1_epi32(127)), 23));
}
inline I to_int(F a) {
  return _mm512_cvt_roundps_epi32(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
inline F to_float(I a) {
  return _mm512_cvtepi32_ps(a);
}
inline F as_float(I a) {
  return _mm512_castsi512_ps(a);
}
inline I as_int(F a) {
  return _mm512_castps_si512(a);
}
inline void store_i8(std::int8_t* p, I a) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(a));
}
inline std::int32_t reduce_add_int(I a) {
  return _mm512_reduce_add_epi32(a);
}
inline I zero_int() {
  return _mm512_setzero_si512();
}
inline I set1_int(std::int32_t x) {
  return _mm512_set1_epi32(x);
}
inline I add_int(I a, I b) {
  return _mm512_add_epi32(a, b);
}
inline I sub_int(I a, I b) {
  return _mm512_sub_epi32(a, b);
}
inline I shift_left7(I a) {
  return _mm512_slli_epi32(a, 7);
}
inline I shift_right7(I a) {
  return _mm512_srai_epi32(a, 7);
}
inline I or_int(I a, I b) {
  return _mm512_or_si512(a, b);
}
template <std::int32_t kMask>
inline I or_masked(I a, I b) {
  return _mm512_ternarylogic_epi32(a, b, _mm512_set1_epi32(kMask), 0xF8);  // a | (b & mask)
}
template <int kBits>
inline I shift(I a) {
  if constexpr (kBits < 0)
    return _mm512_srli_epi32(a, -kBits);
  else
    return _mm512_slli_epi32(a, kBits);
}
inline I shift_right31(I a) {
  return _mm512_srai_epi32(a, 31);
}
inline I load_u8_lanes(const void* p) {
  return _mm512_cvtepu8_epi32(_mm_loadu_si128(static_cast<const __m128i*>(p)));
}
inline I load_u16_lanes(const void* p) {
  return _mm512_cvtepu16_epi32(_mm256_loadu_si256(static_cast<const __m256i*>(p)));
}
inline I load_nibble_lanes(const void* p) {
  const __m128i x = _mm_loadl_epi64(static_cast<const __m128i*>(p));
  return _mm512_cvtepu8_epi32(_mm_unpacklo_epi64(x, _mm_srli_epi64(x, 4)));
}

inline B load_bytes(const void* p) {
  return {_mm512_loadu_si512(p)};
}
inline void store_bytes(void* p, B b) {
  _mm512_storeu_si512(p, b.v);
}
template <int kShift>
inline B bits(B b, std::uint8_t mask) {
  const __m512i m = _mm512_set1_epi8(static_cast<char>(mask));
  if constexpr (kShift == 0) return {_mm512_and_si512(b.v, m)};
  return {_mm512_and_si512(_mm512_srli_epi16(b.v, kShift), m)};
}
template <int kBit>
inline B or_bit(B b, const void* word64) {
  std::uint64_t w = 0;
  std::memcpy(&w, word64, sizeof(w));
  // The bit is clear, so a masked add sets it.
  return {_mm512_mask_add_epi8(b.v, _cvtu64_mask64(w), b.v, _mm512_set1_epi8(1 << kBit))};
}
inline B or_high2(B b, B two) {
  return {_mm512_or_si512(b.v, _mm512_slli_epi16(two.v, 4))};
}
inline B look_up(B table, B codes) {
  return {_mm512_shuffle_epi8(table.v, codes.v)};
}
inline B negate(B b, const void* word64) {
  std::uint64_t w = 0;
  std::memcpy(&w, word64, sizeof(w));
  return {_mm512_mask_sub_epi8(b.v, _cvtu64_mask64(w), _mm512_setzero_si512(), b.v)};
}
inline B add_lanes(B b, I lanes) {
  return {_mm512_add_epi8(b.v, lanes)};
}
inline B look_up_4(const void* table, I index) {
  return {_mm512_i32gather_epi32(index, table, 4)};
}
inline void look_up_8(const void* table, I index, B& first, B& last) {
  const __m512i low = _mm512_i32gather_epi64(_mm512_castsi512_si256(index), table, 8);
  const __m512i high = _mm512_i32gather_epi64(_mm512_extracti64x4_epi64(index, 1), table, 8);
  const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  const __m512i odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
  first.v = _mm512_permutex2var_epi32(low, even, high);
  last.v = _mm512_permutex2var_epi32(low, odd, high);
}
inline B look_up_32(B low, B high, B codes, const void* word64) {
  std::uint64_t w = 0;
  std::memcpy(&w, word64, sizeof(w));
  const __m512i first = _mm512_shuffle_epi8(low.v, codes.v);
  return {_mm512_mask_shuffle_epi8(first, _cvtu64_mask64(w), high.v, codes.v)};
}
inline B add_bytes(B b, std::int8_t x) {
  return {_mm512_add_epi8(b.v, _mm512_set1_epi8(x))};
}
inline A four(const std::int8_t* p) {
  std::int32_t a = 0;
  std::memcpy(&a, p, sizeof(a));
  return _mm512_set1_epi32(a);
}
inline I dot_small(I acc, B w, A a) {
  return _mm512_dpbusd_epi32(acc, w.v, a);
}
inline I dot_panel(I acc, B w, A a) {
  return _mm512_dpbusd_epi32(acc, w.v, a);
}

#ifdef KVASIR_AVX512_BF16
using P = __m512bh;  // 16 pairs of bf16
inline P load_pairs(const std::uint32_t* p) {
  return reinterpret_cast<__m512bh>(_mm512_loadu_si512(p));
}
inline P set1_pair(std::uint32_t pair) {
  return reinterpret_cast<__m512bh>(_mm512_set1_epi32(static_cast<std::int32_t>(pair)));
}
// Lane by lane: acc + a.even * b.even + a.odd * b.odd.
inline F dot_bf16(F acc, P a, P b) {
  return _mm512_dpbf16_ps(acc, a, b);
}
// Rounds to nearest even, as store_bf16 does.
inline void store_pairs(std::uint32_t* p, F even, F odd) {
  const auto low = _mm512_cvtepu16_epi32(reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(even)));
  const auto high = _mm512_cvtepu16_epi32(reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(odd)));
  _mm512_storeu_si512(p, _mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
}
#endif

}  // namespace kvasir::kernels::KVASIR_AVX512_NAMESPACE
