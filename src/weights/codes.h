#pragma once
// Codes and scales of tensors whose scales lie apart (TensorType::kAffine, kFp4, kFp8).

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/half.h"
#include "kernels/packed.h"
#include "weights/blocks.h"

namespace kvasir::weights {

// Twice the numbers of e2m1: a sign, two bits of exponent, one of the fraction. Stored scales are halved for
// it.
inline constexpr std::array<std::int8_t, 16> kFp4Twice = {0, 1,  2,  3,  4,  6,  8,  12,
                                                          0, -1, -2, -3, -4, -6, -8, -12};

template <unsigned kBits>
inline void unpack_codes_of(const std::byte* p, std::uint8_t* u) {
  for (std::size_t j = 0; j < 4; ++j, p += kBits, u += 8) {
    std::uint64_t held = 0;
    std::memcpy(&held, p, kBits);
    for (std::size_t i = 0; i < 8; ++i)
      u[i] = static_cast<std::uint8_t>(held >> (kBits * i) & ((1U << kBits) - 1));
  }
}

// 32 codes of 2, 3, 4, 5, 6 or 8 bits from a little-endian bit stream, beginning at code `first`, a multiple
// of 32.
inline void unpack_codes(const std::byte* stream, unsigned bits, std::size_t first, std::uint8_t* u) {
  const std::byte* p = stream + first * bits / 8;
  switch (bits) {
    case 2:
      return unpack_codes_of<2>(p, u);
    case 3:
      return unpack_codes_of<3>(p, u);
    case 4:
      return unpack_codes_of<4>(p, u);
    case 5:
      return unpack_codes_of<5>(p, u);
    case 6:
      return unpack_codes_of<6>(p, u);
    default:
      std::memcpy(u, p, 32);
  }
}

inline float scale_at(kernels::ScaleType type, const std::byte* scales, std::size_t index) {
  using kernels::ScaleType;
  switch (type) {
    case ScaleType::kF16:
      return kernels::f16_to_f32(read_at<std::uint16_t>(scales, index * 2));
    case ScaleType::kBF16:
      return kernels::bf16_to_f32(read_at<std::uint16_t>(scales, index * 2));
    case ScaleType::kF32:
      return read_at<float>(scales, index * 4);
    case ScaleType::kE8M0:
      return kernels::e8m0_to_f32(read_at<std::uint8_t>(scales, index));
    default:
      return kernels::e4m3_to_f32(read_at<std::uint8_t>(scales, index));
  }
}

}  // namespace kvasir::weights
