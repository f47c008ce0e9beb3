#include "weights/quantize.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/check.h"
#include "kernels/half.h"
#include "weights/block_fit.h"

namespace kvasir::weights {
namespace {

using kernels::f16_to_f32;
using kernels::f32_to_f16;

constexpr std::size_t kBlock = 32;

void put_f16(std::byte* p, std::uint16_t h) {
  std::memcpy(p, &h, sizeof(h));
}

// Codes of 32 weights as nibbles (places 0..15 low, 16..31 high), and their fifth bits.
void put_nibbles(const std::uint8_t* u, std::byte* out) {
  for (std::size_t i = 0; i < 16; ++i) out[i] = static_cast<std::byte>((u[i] & 15U) | (u[i + 16] & 15U) << 4);
}
void put_fifth_bits(const std::uint8_t* u, std::byte* out) {
  std::uint32_t bits = 0;
  for (std::size_t i = 0; i < 32; ++i) bits |= (static_cast<std::uint32_t>(u[i]) >> 4 & 1U) << i;
  std::memcpy(out, &bits, sizeof(bits));
}

void codes_of(std::span<const float> x, float scale, float min, int levels, std::uint8_t* u) {
  for (std::size_t i = 0; i < x.size(); ++i)
    u[i] = static_cast<std::uint8_t>(nearest_code(x[i], scale, min, levels));
}

// Q4_0, Q5_0: [f16 d][fifth bits][nibbles]
void symmetric_block(std::span<const float> x, bool five, std::byte* out) {
  const int offset = five ? 16 : 8;
  const std::uint16_t d = f32_to_f16(fit_symmetric(x, offset));
  const float scale = f16_to_f32(d);
  std::uint8_t u[kBlock] = {};
  codes_of(x, scale, -scale * static_cast<float>(offset), offset * 2, u);
  if (scale == 0) std::fill(u, u + kBlock, static_cast<std::uint8_t>(offset));
  put_f16(out, d);
  if (five) put_fifth_bits(u, out + 2);
  put_nibbles(u, out + (five ? 6 : 2));
}

// Q4_1, Q5_1: [f16 d][f16 m][fifth bits][nibbles]
void affine_block(std::span<const float> x, bool five, std::byte* out) {
  const int levels = five ? 32 : 16;
  const ScaleAndMin fit = fit_affine(x, levels, std::numeric_limits<float>::max());
  const std::uint16_t d = f32_to_f16(fit.scale);
  const std::uint16_t m = f32_to_f16(fit.min);
  std::uint8_t u[kBlock] = {};
  codes_of(x, f16_to_f32(d), f16_to_f32(m), levels, u);
  put_f16(out, d);
  put_f16(out + 2, m);
  if (five) put_fifth_bits(u, out + 4);
  put_nibbles(u, out + (five ? 8 : 4));
}

void q8_block(std::span<const float> x, std::byte* out) {
  float most = 0;
  for (const float v : x) most = std::max(most, std::abs(v));
  const std::uint16_t d = f32_to_f16(most / 127);
  const float scale = f16_to_f32(d);
  put_f16(out, d);
  for (std::size_t i = 0; i < kBlock; ++i) {
    const float q = scale == 0 ? 0 : std::clamp(std::nearbyint(x[i] / scale), -127.0F, 127.0F);
    out[2 + i] = static_cast<std::byte>(static_cast<std::int8_t>(q));
  }
}

// 8 scales and 8 minima of 6 bits in 12 bytes: the inverse of scale_min() (weights/blocks.h).
void put_scale_mins(const std::array<std::uint8_t, 8>& scales, const std::array<std::uint8_t, 8>& mins,
                    std::byte* out) {
  for (std::size_t b = 0; b < 4; ++b) {
    out[b] = static_cast<std::byte>(scales[b] | (scales[b + 4] >> 4) << 6);
    out[b + 4] = static_cast<std::byte>(mins[b] | (mins[b + 4] >> 4) << 6);
    out[b + 8] = static_cast<std::byte>((scales[b + 4] & 15U) | (mins[b + 4] & 15U) << 4);
  }
}

// Q4_K, Q5_K: w = d * sc * u - dmin * mn, sc and mn of 6 bits for 32 weights.
void k45_block(std::span<const float> x, bool five, std::byte* out) {
  const int levels = five ? 32 : 16;
  constexpr float kMost6 = 63;
  std::array<ScaleAndMin, 8> fits;
  float most_scale = 0;
  float most_min = 0;
  for (std::size_t b = 0; b < 8; ++b) {
    fits[b] = fit_affine(x.subspan(b * kBlock, kBlock), levels, 0);
    most_scale = std::max(most_scale, fits[b].scale);
    most_min = std::max(most_min, -fits[b].min);
  }
  const std::uint16_t d = f32_to_f16(most_scale / kMost6);
  const std::uint16_t dmin = f32_to_f16(most_min / kMost6);
  const auto six_bits = [&](float value, std::uint16_t unit) {
    const float u = f16_to_f32(unit);
    return static_cast<std::uint8_t>(u == 0 ? 0 : std::clamp(std::nearbyint(value / u), 0.0F, kMost6));
  };
  std::array<std::uint8_t, 8> scales{};
  std::array<std::uint8_t, 8> mins{};
  std::byte* nibbles = out + (five ? 48 : 16);
  std::memset(out, 0, five ? 176 : 144);
  for (std::size_t b = 0; b < 8; ++b) {
    const auto block = x.subspan(b * kBlock, kBlock);
    scales[b] = six_bits(fits[b].scale, d);
    mins[b] = six_bits(-fits[b].min, dmin);
    std::uint8_t u[kBlock] = {};
    codes_of(block, f16_to_f32(d) * scales[b], -f16_to_f32(dmin) * mins[b], levels, u);
    for (std::size_t i = 0; i < kBlock; ++i) {
      nibbles[b / 2 * kBlock + i] |= static_cast<std::byte>((u[i] & 15U) << (b % 2 * 4));
      if (five) out[16 + i] |= static_cast<std::byte>((u[i] >> 4) << b);
    }
  }
  put_f16(out, d);
  put_f16(out + 2, dmin);
  put_scale_mins(scales, mins, out + 4);
}

// Q6_K: w = d * sc * (u - 32), sc an i8 for 16 weights: [128 low nibbles][64 high pairs][16 sc][f16 d]
void k6_block(std::span<const float> x, std::byte* out) {
  constexpr std::size_t kSixteenth = 16;
  std::array<float, 16> fits{};
  float extreme = 0;
  for (std::size_t b = 0; b < 16; ++b) {
    fits[b] = fit_symmetric(x.subspan(b * kSixteenth, kSixteenth), 32);
    if (std::abs(fits[b]) > std::abs(extreme)) extreme = fits[b];
  }
  const std::uint16_t d = f32_to_f16(extreme / -128);
  const float unit = f16_to_f32(d);
  std::memset(out, 0, 210);
  put_f16(out + 208, d);
  for (std::size_t b = 0; b < 16; ++b) {
    const float sc = unit == 0 ? 0 : std::clamp(std::nearbyint(fits[b] / unit), -128.0F, 127.0F);
    out[192 + b] = static_cast<std::byte>(static_cast<std::int8_t>(sc));
    const float scale = unit * sc;
    for (std::size_t i = 0; i < kSixteenth; ++i) {
      const std::size_t at = b * kSixteenth + i;
      const auto u = static_cast<unsigned>(scale == 0 ? 32 : nearest_code(x[at], scale, -32 * scale, 64));
      const std::size_t half = at / 128;
      const std::size_t quarter = at % 128 / 32;
      const std::size_t place = at % 32;
      out[half * 64 + quarter % 2 * 32 + place] |= static_cast<std::byte>((u & 15U) << (quarter / 2 * 4));
      out[128 + half * 32 + place] |= static_cast<std::byte>((u >> 4) << (2 * quarter));
    }
  }
}

void plain_row(TensorType type, std::span<const float> x, std::byte* out) {
  if (type == TensorType::kF32) {
    std::memcpy(out, x.data(), x.size_bytes());
    return;
  }
  for (std::size_t i = 0; i < x.size(); ++i)
    put_f16(out + 2 * i, type == TensorType::kF16 ? f32_to_f16(x[i]) : kernels::f32_to_bf16(x[i]));
}

void one_block(TensorType type, std::span<const float> x, std::byte* out) {
  switch (type) {
    case TensorType::kQ4_0:
    case TensorType::kQ5_0:
      return symmetric_block(x, type == TensorType::kQ5_0, out);
    case TensorType::kQ4_1:
    case TensorType::kQ5_1:
      return affine_block(x, type == TensorType::kQ5_1, out);
    case TensorType::kQ8_0:
      return q8_block(x, out);
    case TensorType::kQ4_K:
    case TensorType::kQ5_K:
      return k45_block(x, type == TensorType::kQ5_K, out);
    default:
      KVASIR_CHECK(type == TensorType::kQ6_K, "the type is one that can be written");
      return k6_block(x, out);
  }
}

}  // namespace

bool can_quantize(TensorType type) {
  constexpr std::array kTypes = {TensorType::kF32,  TensorType::kF16,  TensorType::kBF16, TensorType::kQ4_0,
                                 TensorType::kQ4_1, TensorType::kQ5_0, TensorType::kQ5_1, TensorType::kQ8_0,
                                 TensorType::kQ4_K, TensorType::kQ5_K, TensorType::kQ6_K};
  return std::ranges::find(kTypes, type) != kTypes.end();
}

void quantize_row(TensorType type, std::span<const float> x, std::byte* out) {
  const std::size_t elements = elements_per_block(type);
  if (elements == 1) return plain_row(type, x, out);
  KVASIR_CHECK(x.size() % elements == 0, "rows are whole blocks");
  for (std::size_t at = 0; at < x.size(); at += elements, out += bytes_per_block(type))
    one_block(type, x.subspan(at, elements), out);
}

void quantize_affine_row(const AffineForm& form, std::span<const float> x, std::byte* codes,
                         std::uint16_t* scales, std::uint16_t* biases) {
  const bool half = form.scales == kernels::ScaleType::kF16;
  const auto stored = [&](float v) { return half ? f32_to_f16(v) : kernels::f32_to_bf16(v); };
  const auto read = [&](std::uint16_t v) { return half ? f16_to_f32(v) : kernels::bf16_to_f32(v); };
  const int levels = 1 << form.bits;
  std::uint64_t held = 0;
  unsigned count = 0;
  for (std::size_t g = 0; g < x.size() / form.group; ++g) {
    const auto group = x.subspan(g * form.group, form.group);
    const ScaleAndMin fit = fit_affine(group, levels, std::numeric_limits<float>::max());
    scales[g] = stored(fit.scale);
    biases[g] = stored(fit.min);
    for (const float v : group) {
      held |= static_cast<std::uint64_t>(nearest_code(v, read(scales[g]), read(biases[g]), levels)) << count;
      for (count += form.bits; count >= 8; count -= 8, held >>= 8)
        *codes++ = static_cast<std::byte>(held & 255U);
    }
  }
}

}  // namespace kvasir::weights
