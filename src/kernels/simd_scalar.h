#pragma once
// Thin primitives, scalar: 16 lanes as plain arrays. It reads like the formula and is what the others are
// tested against. See generic.h for what each primitive means.

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "kernels/half.h"

namespace kvasir::kernels::scalar {

inline constexpr const char* kName = "scalar";
inline constexpr int kTileGroups = 1;
inline constexpr int kTileTokens = 2;
inline constexpr int kAttentionRows = 2;
inline constexpr int kAttentionVectors = 4;
inline constexpr int kFewTile = 2;
inline constexpr int kFewSums = 4;
inline constexpr int kLimitChains = 6;  // sums side by side: cover the latency, fit the registers
inline constexpr bool kSignedPanel = true;

struct F {
  float v[16];
};
struct I {
  std::int32_t v[16];
};
struct B {
  std::uint8_t v[64];
};
using A = std::int32_t;  // four activation bytes

template <class Op>
inline F map(Op op) {
  F r;
  for (int i = 0; i < 16; ++i) r.v[i] = op(i);
  return r;
}

inline F load(const float* p) {
  F r;
  std::memcpy(r.v, p, sizeof(r.v));
  return r;
}
inline void store(float* p, const F& a) {
  std::memcpy(p, a.v, sizeof(a.v));
}
inline F set1(float x) {
  return map([&](int) { return x; });
}
inline F add(const F& a, const F& b) {
  return map([&](int i) { return a.v[i] + b.v[i]; });
}
inline F sub(const F& a, const F& b) {
  return map([&](int i) { return a.v[i] - b.v[i]; });
}
inline F mul(const F& a, const F& b) {
  return map([&](int i) { return a.v[i] * b.v[i]; });
}
inline F div(const F& a, const F& b) {
  return map([&](int i) { return a.v[i] / b.v[i]; });
}
inline F fma(const F& a, const F& b, const F& c) {
  return map([&](int i) { return std::fma(a.v[i], b.v[i], c.v[i]); });
}
inline F max(const F& a, const F& b) {
  return map([&](int i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; });
}
inline F min(const F& a, const F& b) {
  return map([&](int i) { return a.v[i] < b.v[i] ? a.v[i] : b.v[i]; });
}
inline F abs(const F& a) {
  return map([&](int i) { return std::fabs(a.v[i]); });
}
inline F keep_first(const F& a, int n, float rest) {
  return map([&](int i) { return i < n ? a.v[i] : rest; });
}
inline float reduce_add(const F& a) {
  float s[16];
  std::memcpy(s, a.v, sizeof(s));
  for (int half = 8; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) s[i] += s[i + half];
  }
  return s[0];
}
inline float reduce_max(const F& a) {
  float m = a.v[0];
  for (float x : a.v) m = x > m ? x : m;
  return m;
}
inline F load_f16(const void* p) {
  std::uint16_t h[16];
  std::memcpy(h, p, sizeof(h));
  return map([&](int i) { return f16_to_f32(h[i]); });
}
inline F load_bf16(const void* p) {
  std::uint16_t h[16];
  std::memcpy(h, p, sizeof(h));
  return map([&](int i) { return bf16_to_f32(h[i]); });
}
inline void store_f16(void* p, const F& a) {
  std::uint16_t h[16];
  for (int i = 0; i < 16; ++i) h[i] = f32_to_f16(a.v[i]);
  std::memcpy(p, h, sizeof(h));
}
inline void store_bf16(void* p, const F& a) {
  std::uint16_t h[16];
  for (int i = 0; i < 16; ++i) h[i] = f32_to_bf16(a.v[i]);
  std::memcpy(p, h, sizeof(h));
}
inline F load_u8(const void* p) {
  const auto* b = static_cast<const std::uint8_t*>(p);
  return map([&](int i) { return static_cast<float>(b[i]); });
}
inline F load_low_nibbles(const void* p) {
  const auto* b = static_cast<const std::uint8_t*>(p);
  return map([&](int i) { return static_cast<float>(b[i] & 15U); });
}
inline F load_high_nibbles(const void* p) {
  const auto* b = static_cast<const std::uint8_t*>(p);
  return map([&](int i) { return static_cast<float>(b[i] >> 4); });
}
inline F load_i8(const void* p) {
  const auto* b = static_cast<const std::int8_t*>(p);
  return map([&](int i) { return static_cast<float>(b[i]); });
}
inline F load_e8m0(const void* p) {
  const auto* b = static_cast<const std::uint8_t*>(p);
  return map([&](int i) { return e8m0_to_f32(b[i]); });
}
inline F load_e4m3(const void* p) {
  const auto* b = static_cast<const std::uint8_t*>(p);
  return map([&](int i) { return e4m3_to_f32(b[i]); });
}
inline F pow2(const I& e) {
  F r;
  for (int i = 0; i < 16; ++i) r.v[i] = std::bit_cast<float>((e.v[i] + 127) << 23);
  return r;
}
inline I to_int(const F& a) {
  I r;
  for (int i = 0; i < 16; ++i) r.v[i] = static_cast<std::int32_t>(std::nearbyint(a.v[i]));
  return r;
}
inline F to_float(const I& a) {
  return map([&](int i) { return static_cast<float>(a.v[i]); });
}
inline F as_float(const I& a) {
  return map([&](int i) { return std::bit_cast<float>(a.v[i]); });
}
inline void store_i8(std::int8_t* p, const I& a) {
  for (int i = 0; i < 16; ++i) p[i] = static_cast<std::int8_t>(a.v[i]);
}
inline std::int32_t reduce_add_int(const I& a) {
  std::int32_t s = 0;
  for (std::int32_t x : a.v) s += x;
  return s;
}
inline I zero_int() {
  return I{};
}
inline I set1_int(std::int32_t x) {
  I r;
  for (std::int32_t& v : r.v) v = x;
  return r;
}
inline I add_int(I a, const I& b) {
  for (int i = 0; i < 16; ++i) a.v[i] += b.v[i];
  return a;
}
inline I sub_int(I a, const I& b) {
  for (int i = 0; i < 16; ++i) a.v[i] -= b.v[i];
  return a;
}
inline I shift_left7(I a) {
  for (std::int32_t& x : a.v) x *= 128;
  return a;
}
inline I shift_right7(I a) {
  for (std::int32_t& x : a.v) x >>= 7;
  return a;
}
template <class Op>
inline I map_int(Op op) {
  I r;
  for (int i = 0; i < 16; ++i) r.v[i] = op(i);
  return r;
}
inline I as_int(const F& a) {
  return map_int([&](int i) { return std::bit_cast<std::int32_t>(a.v[i]); });
}
inline I or_int(const I& a, const I& b) {
  return map_int([&](int i) { return a.v[i] | b.v[i]; });
}
template <std::int32_t kMask>
inline I or_masked(const I& a, const I& b) {
  return map_int([&](int i) { return a.v[i] | (b.v[i] & kMask); });
}
// To the left; to the right, filled with noughts, where kBits is negative.
template <int kBits>
inline I shift(const I& a) {
  return map_int([&](int i) {
    const auto x = static_cast<std::uint32_t>(a.v[i]);
    return static_cast<std::int32_t>(kBits < 0 ? x >> (kBits < 0 ? -kBits : 0)
                                               : x << (kBits < 0 ? 0 : kBits));
  });
}
inline I shift_right31(const I& a) {
  return map_int([&](int i) { return a.v[i] >> 31; });
}
inline I load_u8_lanes(const void* p) {
  const auto* b = static_cast<const std::uint8_t*>(p);
  return map_int([&](int i) { return static_cast<std::int32_t>(b[i]); });
}
inline I load_u16_lanes(const void* p) {
  std::uint16_t h[16];
  std::memcpy(h, p, sizeof(h));
  return map_int([&](int i) { return static_cast<std::int32_t>(h[i]); });
}
// 8 bytes; lane i is the low nibble of byte i, lane i + 8 the high one. What is above the nibble is
// undefined.
inline I load_nibble_lanes(const void* p) {
  const auto* b = static_cast<const std::uint8_t*>(p);
  return map_int([&](int i) { return static_cast<std::int32_t>(b[i % 8] >> (i / 8 * 4)); });
}

inline B load_bytes(const void* p) {
  B r;
  std::memcpy(r.v, p, sizeof(r.v));
  return r;
}
inline void store_bytes(void* p, const B& b) {
  std::memcpy(p, b.v, sizeof(b.v));
}
template <int kShift>
inline B bits(const B& b, std::uint8_t mask) {
  B r;
  for (int i = 0; i < 64; ++i) r.v[i] = static_cast<std::uint8_t>((b.v[i] >> kShift) & mask);
  return r;
}
template <int kBit>
inline B or_bit(B b, const void* word64) {
  std::uint64_t w = 0;
  std::memcpy(&w, word64, sizeof(w));
  for (int i = 0; i < 64; ++i) b.v[i] = static_cast<std::uint8_t>(b.v[i] | (((w >> i) & 1U) << kBit));
  return b;
}
inline B or_high2(B b, const B& two) {
  for (int i = 0; i < 64; ++i) b.v[i] = static_cast<std::uint8_t>(b.v[i] | (two.v[i] << 4));
  return b;
}
inline B look_up(const B& table, B codes) {
  for (int i = 0; i < 64; ++i) codes.v[i] = table.v[i / 16 * 16 + codes.v[i]];
  return codes;
}
// Bytes whose bit is set in the word become their negatives, modulo 256.
inline B negate(B b, const void* word64) {
  std::uint64_t w = 0;
  std::memcpy(&w, word64, sizeof(w));
  for (int i = 0; i < 64; ++i) {
    if ((w >> i & 1U) != 0) b.v[i] = static_cast<std::uint8_t>(-b.v[i]);
  }
  return b;
}
// Byte by byte, the four of a lane.
inline B add_lanes(B b, const I& lanes) {
  std::uint8_t x[64];
  std::memcpy(x, lanes.v, sizeof(x));
  for (int i = 0; i < 64; ++i) b.v[i] = static_cast<std::uint8_t>(b.v[i] + x[i]);
  return b;
}
// Entries of 4 bytes, one a lane.
inline B look_up_4(const void* table, const I& index) {
  B r;
  for (int i = 0; i < 16; ++i)
    std::memcpy(r.v + 4 * i, static_cast<const std::uint8_t*>(table) + 4 * index.v[i], 4);
  return r;
}
// Entries of 8 bytes, one a lane: the first 4 of each, and the last.
inline void look_up_8(const void* table, const I& index, B& first, B& last) {
  for (int i = 0; i < 16; ++i) {
    const auto* entry = static_cast<const std::uint8_t*>(table) + 8 * index.v[i];
    std::memcpy(first.v + 4 * i, entry, 4);
    std::memcpy(last.v + 4 * i, entry + 4, 4);
  }
}
// A table of 32 bytes in two halves; a set bit of the word names the second.
inline B look_up_32(const B& low, const B& high, B codes, const void* word64) {
  std::uint64_t w = 0;
  std::memcpy(&w, word64, sizeof(w));
  for (int i = 0; i < 64; ++i) codes.v[i] = ((w >> i & 1U) != 0 ? high : low).v[i / 16 * 16 + codes.v[i]];
  return codes;
}
inline B add_bytes(B b, std::int8_t x) {
  for (std::uint8_t& v : b.v) v = static_cast<std::uint8_t>(v + x);
  return b;
}
inline A four(const std::int8_t* p) {
  A a = 0;
  std::memcpy(&a, p, sizeof(a));
  return a;
}
template <class Byte>
inline I dot_as(I acc, const B& w, A a) {
  std::int8_t x[4];
  std::memcpy(x, &a, sizeof(x));
  for (int i = 0; i < 16; ++i) {
    for (int k = 0; k < 4; ++k)
      acc.v[i] += static_cast<std::int32_t>(static_cast<Byte>(w.v[i * 4 + k])) * x[k];
  }
  return acc;
}
inline I dot_small(const I& acc, const B& w, A a) {
  return dot_as<std::uint8_t>(acc, w, a);
}
inline I dot_panel(const I& acc, const B& w, A a) {
  return dot_as<std::int8_t>(acc, w, a);
}

}  // namespace kvasir::kernels::scalar
