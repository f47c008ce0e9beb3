#pragma once
// Thin primitives, NEON with dot product (Armv8.2-A): 16 lanes are four registers.

#include <arm_neon.h>

#include <cstdint>
#include <cstring>

namespace kvasir::kernels::neon {

inline constexpr const char* kName = "neon";
inline constexpr int kTileGroups = 1;
inline constexpr int kTileTokens = 2;
inline constexpr int kAttentionRows = 6;
inline constexpr int kAttentionVectors = 1;
inline constexpr int kFewTile = 6;
inline constexpr int kFewSums = 4;
inline constexpr int kLimitChains = 6;  // sums side by side: cover the latency, fit the registers
inline constexpr bool kSignedPanel = true;

struct F {
  float32x4_t v[4];
};
struct I {
  int32x4_t v[4];
};
struct B {
  uint8x16_t v[4];
};
using A = int8x16_t;

template <class R, class Op>
inline R map(Op op) {
  R r;
  for (int i = 0; i < 4; ++i) r.v[i] = op(i);
  return r;
}

inline F load(const float* p) {
  return map<F>([&](int i) { return vld1q_f32(p + 4 * i); });
}
inline void store(float* p, F a) {
  for (int i = 0; i < 4; ++i) vst1q_f32(p + 4 * i, a.v[i]);
}
inline F set1(float x) {
  return map<F>([&](int) { return vdupq_n_f32(x); });
}
inline F add(F a, F b) {
  return map<F>([&](int i) { return vaddq_f32(a.v[i], b.v[i]); });
}
inline F sub(F a, F b) {
  return map<F>([&](int i) { return vsubq_f32(a.v[i], b.v[i]); });
}
inline F mul(F a, F b) {
  return map<F>([&](int i) { return vmulq_f32(a.v[i], b.v[i]); });
}
inline F div(F a, F b) {
  return map<F>([&](int i) { return vdivq_f32(a.v[i], b.v[i]); });
}
inline F fma(F a, F b, F c) {
  return map<F>([&](int i) { return vfmaq_f32(c.v[i], a.v[i], b.v[i]); });
}
inline F max(F a, F b) {
  return map<F>([&](int i) { return vbslq_f32(vcgtq_f32(a.v[i], b.v[i]), a.v[i], b.v[i]); });
}
inline F min(F a, F b) {
  return map<F>([&](int i) { return vbslq_f32(vcltq_f32(a.v[i], b.v[i]), a.v[i], b.v[i]); });
}
inline F abs(F a) {
  return map<F>([&](int i) { return vabsq_f32(a.v[i]); });
}
inline F keep_first(F a, int n, float rest) {
  float x[16];
  store(x, a);
  for (int i = n < 0 ? 0 : n; i < 16; ++i) x[i] = rest;
  return load(x);
}
inline float reduce_add(F a) {
  // The same tree as the wider instruction sets: lane i with i + 8, then + 4, + 2, + 1.
  const float32x4_t h4 = vaddq_f32(vaddq_f32(a.v[0], a.v[2]), vaddq_f32(a.v[1], a.v[3]));
  const float32x2_t h2 = vadd_f32(vget_low_f32(h4), vget_high_f32(h4));
  return vget_lane_f32(h2, 0) + vget_lane_f32(h2, 1);
}
inline float reduce_max(F a) {
  return vmaxvq_f32(vmaxq_f32(vmaxq_f32(a.v[0], a.v[1]), vmaxq_f32(a.v[2], a.v[3])));
}
inline F load_f16(const void* p) {
  const auto* h = static_cast<const std::uint16_t*>(p);
  return map<F>([&](int i) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(h + 4 * i))); });
}
inline F load_bf16(const void* p) {
  const auto* h = static_cast<const std::uint16_t*>(p);
  return map<F>([&](int i) { return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(h + 4 * i), 16)); });
}
inline void store_f16(void* p, F a) {
  auto* h = static_cast<std::uint16_t*>(p);
  for (int i = 0; i < 4; ++i) vst1_u16(h + 4 * i, vreinterpret_u16_f16(vcvt_f16_f32(a.v[i])));
}
inline void store_bf16(void* p, F a) {
  auto* h = static_cast<std::uint16_t*>(p);
  for (int i = 0; i < 4; ++i) {
    const uint32x4_t bits = vreinterpretq_u32_f32(a.v[i]);
    const uint32x4_t odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
    vst1_u16(h + 4 * i, vshrn_n_u32(vaddq_u32(vaddq_u32(bits, vdupq_n_u32(0x7FFF)), odd), 16));
  }
}
inline F widen_u8(uint8x16_t x) {
  const uint16x8_t low = vmovl_u8(vget_low_u8(x));
  const uint16x8_t high = vmovl_u8(vget_high_u8(x));
  return {vcvtq_f32_u32(vmovl_u16(vget_low_u16(low))), vcvtq_f32_u32(vmovl_u16(vget_high_u16(low))),
          vcvtq_f32_u32(vmovl_u16(vget_low_u16(high))), vcvtq_f32_u32(vmovl_u16(vget_high_u16(high)))};
}
inline F load_u8(const void* p) {
  return widen_u8(vld1q_u8(static_cast<const std::uint8_t*>(p)));
}
inline F load_low_nibbles(const void* p) {
  return widen_u8(vandq_u8(vld1q_u8(static_cast<const std::uint8_t*>(p)), vdupq_n_u8(15)));
}
inline F load_high_nibbles(const void* p) {
  return widen_u8(vshrq_n_u8(vld1q_u8(static_cast<const std::uint8_t*>(p)), 4));
}
inline F load_i8(const void* p) {
  const int8x16_t x = vld1q_s8(static_cast<const std::int8_t*>(p));
  const int16x8_t low = vmovl_s8(vget_low_s8(x));
  const int16x8_t high = vmovl_s8(vget_high_s8(x));
  return {vcvtq_f32_s32(vmovl_s16(vget_low_s16(low))), vcvtq_f32_s32(vmovl_s16(vget_high_s16(low))),
          vcvtq_f32_s32(vmovl_s16(vget_low_s16(high))), vcvtq_f32_s32(vmovl_s16(vget_high_s16(high)))};
}
inline F load_e8m0(const void* p) {
  const uint8x16_t x = vld1q_u8(static_cast<const std::uint8_t*>(p));
  const uint16x8_t low = vmovl_u8(vget_low_u8(x));
  const uint16x8_t high = vmovl_u8(vget_high_u8(x));
  const auto widen = [](uint16x4_t e) {
    return vreinterpretq_f32_u32(vmaxq_u32(vshlq_n_u32(vmovl_u16(e), 23), vdupq_n_u32(0x00400000)));
  };
  return {widen(vget_low_u16(low)), widen(vget_high_u16(low)), widen(vget_low_u16(high)),
          widen(vget_high_u16(high))};
}
inline F load_e4m3(const void* p) {
  const uint8x16_t x = vld1q_u8(static_cast<const std::uint8_t*>(p));
  const auto half = [](uint8x8_t bytes) {
    const uint16x8_t w = vmovl_u8(bytes);
    return vorrq_u16(vshlq_n_u16(vandq_u16(w, vdupq_n_u16(0x80)), 8),
                     vshlq_n_u16(vandq_u16(w, vdupq_n_u16(0x7F)), 7));
  };
  const uint16x8_t low = half(vget_low_u8(x));
  const uint16x8_t high = half(vget_high_u8(x));
  const auto widen = [](uint16x4_t h) { return vmulq_n_f32(vcvt_f32_f16(vreinterpret_f16_u16(h)), 256.0F); };
  return {widen(vget_low_u16(low)), widen(vget_high_u16(low)), widen(vget_low_u16(high)),
          widen(vget_high_u16(high))};
}
inline F pow2(I e) {
  return map<F>(
      [&](int i) { return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(e.v[i], vdupq_n_s32(127)), 23)); });
}
inline I to_int(F a) {
  return map<I>([&](int i) { return vcvtnq_s32_f32(a.v[i]); });
}
inline F to_float(I a) {
  return map<F>([&](int i) { return vcvtq_f32_s32(a.v[i]); });
}
inline F as_float(I a) {
  return map<F>([&](int i) { return vreinterpretq_f32_s32(a.v[i]); });
}
inline I as_int(F a) {
  return map<I>([&](int i) { return vreinterpretq_s32_f32(a.v[i]); });
}
inline void store_i8(std::int8_t* p, I a) {
  const int16x8_t low = vcombine_s16(vmovn_s32(a.v[0]), vmovn_s32(a.v[1]));
  const int16x8_t high = vcombine_s16(vmovn_s32(a.v[2]), vmovn_s32(a.v[3]));
  vst1q_s8(p, vcombine_s8(vmovn_s16(low), vmovn_s16(high)));
}
inline std::int32_t reduce_add_int(I a) {
  return vaddvq_s32(vaddq_s32(vaddq_s32(a.v[0], a.v[1]), vaddq_s32(a.v[2], a.v[3])));
}
inline I zero_int() {
  return map<I>([](int) { return vdupq_n_s32(0); });
}
inline I set1_int(std::int32_t x) {
  return map<I>([&](int) { return vdupq_n_s32(x); });
}
inline I add_int(I a, I b) {
  return map<I>([&](int i) { return vaddq_s32(a.v[i], b.v[i]); });
}
inline I sub_int(I a, I b) {
  return map<I>([&](int i) { return vsubq_s32(a.v[i], b.v[i]); });
}
inline I shift_left7(I a) {
  return map<I>([&](int i) { return vshlq_n_s32(a.v[i], 7); });
}
inline I shift_right7(I a) {
  return map<I>([&](int i) { return vshrq_n_s32(a.v[i], 7); });
}
inline I or_int(I a, I b) {
  return map<I>([&](int i) { return vorrq_s32(a.v[i], b.v[i]); });
}
template <std::int32_t kMask>
inline I or_masked(I a, I b) {
  return map<I>([&](int i) { return vorrq_s32(a.v[i], vandq_s32(b.v[i], vdupq_n_s32(kMask))); });
}
template <int kBits>
inline I shift(I a) {
  return map<I>([&](int i) {
    if constexpr (kBits < 0)
      return vreinterpretq_s32_u32(vshrq_n_u32(vreinterpretq_u32_s32(a.v[i]), -kBits));
    else
      return vshlq_n_s32(a.v[i], kBits);
  });
}
inline I shift_right31(I a) {
  return map<I>([&](int i) { return vshrq_n_s32(a.v[i], 31); });
}
inline I widen_u16_lanes(uint16x8_t low, uint16x8_t high) {
  const auto widen = [](uint16x4_t x) { return vreinterpretq_s32_u32(vmovl_u16(x)); };
  return {{widen(vget_low_u16(low)), widen(vget_high_u16(low)), widen(vget_low_u16(high)),
           widen(vget_high_u16(high))}};
}
inline I load_u8_lanes(const void* p) {
  const uint8x16_t x = vld1q_u8(static_cast<const std::uint8_t*>(p));
  return widen_u16_lanes(vmovl_u8(vget_low_u8(x)), vmovl_u8(vget_high_u8(x)));
}
inline I load_u16_lanes(const void* p) {
  std::uint16_t h[16];
  std::memcpy(h, p, sizeof(h));
  return widen_u16_lanes(vld1q_u16(h), vld1q_u16(h + 8));
}
inline I load_nibble_lanes(const void* p) {
  const uint8x8_t x = vld1_u8(static_cast<const std::uint8_t*>(p));
  return widen_u16_lanes(vmovl_u8(x), vmovl_u8(vshr_n_u8(x, 4)));
}

inline B load_bytes(const void* p) {
  return map<B>([&](int i) { return vld1q_u8(static_cast<const std::uint8_t*>(p) + 16 * i); });
}
inline void store_bytes(void* p, B b) {
  for (int i = 0; i < 4; ++i) vst1q_u8(static_cast<std::uint8_t*>(p) + 16 * i, b.v[i]);
}
template <int kShift>
inline B bits(B b, std::uint8_t mask) {
  return map<B>([&](int i) {
    if constexpr (kShift == 0)
      return vandq_u8(b.v[i], vdupq_n_u8(mask));
    else
      return vandq_u8(vshrq_n_u8(b.v[i], kShift), vdupq_n_u8(mask));
  });
}
// 64 bits -> 64 bytes, each -1 or 0.
inline B spread_mask(const void* word64) {
  static constexpr std::uint8_t kBits[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
  const auto* w = static_cast<const std::uint8_t*>(word64);
  const uint8x16_t one_bit = vld1q_u8(kBits);
  return map<B>(
      [&](int i) { return vtstq_u8(vcombine_u8(vdup_n_u8(w[2 * i]), vdup_n_u8(w[2 * i + 1])), one_bit); });
}
template <int kBit>
inline B or_bit(B b, const void* word64) {
  const B mask = spread_mask(word64);
  return map<B>([&](int i) { return vorrq_u8(b.v[i], vandq_u8(mask.v[i], vdupq_n_u8(1 << kBit))); });
}
inline B or_high2(B b, B two) {
  return map<B>([&](int i) { return vorrq_u8(b.v[i], vshlq_n_u8(two.v[i], 4)); });
}
inline B look_up(B table, B codes) {
  return map<B>([&](int i) { return vqtbl1q_u8(table.v[i], codes.v[i]); });
}
inline B negate(B b, const void* word64) {
  const B mask = spread_mask(word64);
  return map<B>([&](int i) { return vsubq_u8(veorq_u8(b.v[i], mask.v[i]), mask.v[i]); });
}
inline B add_lanes(B b, I lanes) {
  return map<B>([&](int i) { return vaddq_u8(b.v[i], vreinterpretq_u8_s32(lanes.v[i])); });
}
inline B look_up_4(const void* table, I index) {
  std::int32_t at[16];
  for (int i = 0; i < 4; ++i) vst1q_s32(at + 4 * i, index.v[i]);
  const auto entry = [&](int i) {
    std::uint32_t e = 0;
    std::memcpy(&e, static_cast<const char*>(table) + 4 * static_cast<std::size_t>(at[i]), sizeof(e));
    return e;
  };
  return map<B>([&](int i) {
    uint32x4_t v = vdupq_n_u32(entry(4 * i));
    v = vsetq_lane_u32(entry(4 * i + 1), v, 1);
    v = vsetq_lane_u32(entry(4 * i + 2), v, 2);
    v = vsetq_lane_u32(entry(4 * i + 3), v, 3);
    return vreinterpretq_u8_u32(v);
  });
}
inline void look_up_8(const void* table, I index, B& first, B& last) {
  std::int32_t at[16];
  for (int i = 0; i < 4; ++i) vst1q_s32(at + 4 * i, index.v[i]);
  const auto entry = [&](int i) {
    return vld1_u8(static_cast<const std::uint8_t*>(table) + 8 * static_cast<std::size_t>(at[i]));
  };
  const auto pair = [&](int i) { return vreinterpretq_u32_u8(vcombine_u8(entry(i), entry(i + 1))); };
  for (int i = 0; i < 4; ++i) {
    const uint32x4_t x = pair(4 * i);
    const uint32x4_t y = pair(4 * i + 2);
    first.v[i] = vreinterpretq_u8_u32(vuzp1q_u32(x, y));
    last.v[i] = vreinterpretq_u8_u32(vuzp2q_u32(x, y));
  }
}
inline B look_up_32(B low, B high, B codes, const void* word64) {
  const B mask = spread_mask(word64);
  return map<B>([&](int i) {
    return vbslq_u8(mask.v[i], vqtbl1q_u8(high.v[i], codes.v[i]), vqtbl1q_u8(low.v[i], codes.v[i]));
  });
}
inline B add_bytes(B b, std::int8_t x) {
  return map<B>([&](int i) { return vaddq_u8(b.v[i], vdupq_n_u8(static_cast<std::uint8_t>(x))); });
}
inline A four(const std::int8_t* p) {
  std::int32_t a = 0;
  std::memcpy(&a, p, sizeof(a));
  return vreinterpretq_s8_s32(vdupq_n_s32(a));
}
// u <= 127 is its own signed value.
inline I dot_small(I acc, B w, A a) {
  return map<I>([&](int i) { return vdotq_s32(acc.v[i], vreinterpretq_s8_u8(w.v[i]), a); });
}
inline I dot_panel(I acc, B w, A a) {
  return dot_small(acc, w, a);
}

}  // namespace kvasir::kernels::neon
