#pragma once
// f16 and bf16 <-> f32, bytes of scales and FP8 -> f32, in portable integer arithmetic: the reference that
// the vector conversions must equal.

#include <bit>
#include <cstdint>

namespace kvasir::kernels {

constexpr float f16_to_f32(std::uint16_t h) {
  const std::uint32_t sign = static_cast<std::uint32_t>(h & 0x8000U) << 16;
  const std::uint32_t exponent = (h >> 10) & 0x1FU;
  const std::uint32_t fraction = h & 0x3FFU;
  if (exponent == 0x1F) return std::bit_cast<float>(sign | 0x7F800000U | (fraction << 13));
  if (exponent != 0) return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (fraction << 13));
  // Subnormal: fraction * 2^-24, exact in f32.
  const float magnitude = static_cast<float>(fraction) * 0x1p-24F;
  return sign != 0 ? -magnitude : magnitude;
}

// Round to nearest even; overflow gives infinity.
constexpr std::uint16_t f32_to_f16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint16_t>((bits >> 16) & 0x8000U);
  const std::uint32_t magnitude = bits & 0x7FFFFFFFU;
  if (magnitude > 0x7F800000U)
    return static_cast<std::uint16_t>(sign | 0x7E00U | ((magnitude >> 13) & 0x3FFU));
  if (magnitude >= 0x477FF000U)
    return static_cast<std::uint16_t>(sign | 0x7C00U);  // rounds to 65536 or above
  if (magnitude < 0x33000001U) return sign;             // at most half the smallest
  const std::uint32_t exponent = magnitude >> 23;
  std::uint32_t mantissa = (magnitude & 0x7FFFFFU) | 0x800000U;
  // Normal halves drop 13 bits; subnormal ones drop more.
  const std::uint32_t shift = exponent >= 113 ? 13 : 126 - exponent;
  const std::uint32_t half = 1U << (shift - 1);
  const std::uint32_t rest = mantissa & ((1U << shift) - 1);
  mantissa >>= shift;
  if (rest > half || (rest == half && (mantissa & 1U) != 0)) ++mantissa;
  if (exponent >= 113) mantissa += (exponent - 113) << 10;  // the hidden bit carries into the exponent
  return static_cast<std::uint16_t>(sign | mantissa);
}

constexpr float bf16_to_f32(std::uint16_t h) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(h) << 16);
}

// Round to nearest even; for numbers, not for NaN.
constexpr std::uint16_t f32_to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  return static_cast<std::uint16_t>((bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16);
}

// 2^(e - 127); 0 is the smallest, and no zero.
constexpr float e8m0_to_f32(std::uint8_t e) {
  return std::bit_cast<float>(e == 0 ? 0x00400000U : static_cast<std::uint32_t>(e) << 23);
}

// A sign, 4 exponent bits, 3 of the fraction: the upper bits of an f16 with another bias. 0x7F and 0xFF,
// which are no numbers, give 480.
constexpr float e4m3_to_f32(std::uint8_t b) {
  return f16_to_f32(static_cast<std::uint16_t>((b & 0x80U) << 8 | (b & 0x7FU) << 7)) * 256.0F;
}

}  // namespace kvasir::kernels
