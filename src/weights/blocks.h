#pragma once
// The quantised blocks of GGUF, one struct a type, and how each is read as integers and scales.
// A decoded block of 32 is w = d * (u - offset) or w = d * sc * u - dmin * mn; see kernels/packed.h.

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace kvasir::weights {

template <class T>
T read_at(const std::byte* p, std::size_t offset) {
  T v;
  std::memcpy(&v, p + offset, sizeof(T));
  return v;
}

inline unsigned byte_of(const std::byte* p, std::size_t i) {
  return std::to_integer<unsigned>(p[i]);
}

// Types with blocks of 32: [f16 d][f16 m if affine][u32 fifth bits if 5-bit][16 or 32 bytes of quants].
// Places 0..15 are the low nibbles, 16..31 the high ones.
inline void unpack_nibbles(const std::byte* q, std::uint8_t* u) {
  for (std::size_t i = 0; i < 16; ++i) {
    u[i] = static_cast<std::uint8_t>(byte_of(q, i) & 15U);
    u[i + 16] = static_cast<std::uint8_t>(byte_of(q, i) >> 4);
  }
}
inline void or_fifth_bits(std::uint32_t bits, std::uint8_t* u) {
  for (std::size_t i = 0; i < 32; ++i) u[i] = static_cast<std::uint8_t>(u[i] | ((bits >> i & 1U) << 4));
}

// Q4_K and Q5_K keep 8 scales and 8 minima of 6 bits in 12 bytes.
struct ScaleMin {
  std::uint8_t scale;
  std::uint8_t min;
};
inline ScaleMin scale_min(const std::byte* packed, std::size_t block) {
  const auto at = [&](std::size_t i) { return byte_of(packed, i); };
  if (block < 4) {
    return {static_cast<std::uint8_t>(at(block) & 63U), static_cast<std::uint8_t>(at(block + 4) & 63U)};
  }
  return {static_cast<std::uint8_t>((at(block + 4) & 15U) | (at(block - 4) >> 6 << 4)),
          static_cast<std::uint8_t>((at(block + 4) >> 4) | (at(block) >> 6 << 4))};
}

// Q4_K: [f16 d][f16 dmin][12 scales][128 nibbles]: 64 k share 32 bytes, low nibbles first.
// Q5_K: [f16 d][f16 dmin][12 scales][32 high bits][128 nibbles].
inline void unpack_k45(const std::byte* nibbles, const std::byte* high, std::size_t block, std::uint8_t* u) {
  const std::byte* q = nibbles + block / 2 * 32;
  for (std::size_t i = 0; i < 32; ++i) {
    unsigned v = block % 2 == 0 ? byte_of(q, i) & 15U : byte_of(q, i) >> 4;
    if (high != nullptr) v |= (byte_of(high, i) >> block & 1U) << 4;
    u[i] = static_cast<std::uint8_t>(v);
  }
}

// Q6_K: [128 low nibbles][64 high pairs][16 i8 scales][f16 d]; block of 32 k number 0..7.
inline void unpack_k6(const std::byte* super, std::size_t block, std::uint8_t* u) {
  const std::size_t half = block / 4;     // 128 k each
  const std::size_t quarter = block % 4;  // 32 k each
  const std::byte* low = super + half * 64 + quarter % 2 * 32;
  const std::byte* high = super + 128 + half * 32;
  for (std::size_t i = 0; i < 32; ++i) {
    const unsigned l = quarter < 2 ? byte_of(low, i) & 15U : byte_of(low, i) >> 4;
    u[i] = static_cast<std::uint8_t>(l | (byte_of(high, i) >> (2 * quarter) & 3U) << 4);
  }
}

}  // namespace kvasir::weights
