#pragma once
// The codes of a block of a packed group, all 16 rows at a time: bytes for unpacked codes, then the packed
// layout's bits (kernels/packed.h). Whole words and whole rows of 64 bytes, so that compilers make vectors of
// it: reading a model is bound by this.

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/packed.h"

namespace kvasir::weights {

// A row each of 32 codes; of rows that the matrix does not have, zeros.
using BlockCodes = std::uint8_t[kernels::kGroupRows][kernels::kBlockK];

namespace place {

constexpr std::size_t kStepBytes = 64;
constexpr std::size_t kSteps = kernels::kBlockK / 4;
using Steps = std::uint8_t[kSteps][kStepBytes];

// Byte i of step s is row i / 4, k = 4 * s + i % 4.
inline void by_steps(const BlockCodes& u, Steps& steps) {
  for (std::size_t lane = 0; lane < kernels::kGroupRows; ++lane) {
    for (std::size_t s = 0; s < kSteps; ++s) std::memcpy(steps[s] + 4 * lane, u[lane] + 4 * s, 4);
  }
}

// 8 bytes: bit i is bit `bit` of byte i. The product moves the lowest bit of byte i to bit 56 + i.
inline void bit_plane(const std::uint8_t* step, unsigned bit, std::byte* out) {
  for (std::size_t i = 0; i < kStepBytes / 8; ++i) {
    std::uint64_t v = 0;
    std::memcpy(&v, step + 8 * i, 8);
    v = v >> bit & 0x0101010101010101U;
    out[i] = static_cast<std::byte>(v * 0x0102040810204080U >> 56);
  }
}

// Byte i has the low `bits` bits of byte i of steps first, first + every and so on, side by side, from bit
// `from` of them on.
template <unsigned kBits>
inline void join(const Steps& steps, std::size_t first, std::size_t every, unsigned from, std::byte* out) {
  constexpr unsigned kMask = (1U << kBits) - 1;
  for (std::size_t i = 0; i < kStepBytes; ++i) {
    unsigned joined = 0;
    for (std::size_t j = 0; j < 8 / kBits; ++j)
      joined |= (steps[first + j * every][i] >> from & kMask) << (j * kBits);
    out[i] = static_cast<std::byte>(joined);
  }
}

// The low four bits of all steps: 256 bytes.
inline void nibbles(const Steps& steps, std::byte* out) {
  for (std::size_t j = 0; j < 4; ++j) join<4>(steps, j, 4, 0, out + j * kStepBytes);
}

}  // namespace place

// The plane of fifth bits from a word a row that holds them in order of k, as GGUF's blocks of 32 do: word s
// of the plane has those of k = 4 s to 4 s + 3 of each row, row by row.
inline void place_fifth_bits(const std::uint32_t (&bits)[kernels::kGroupRows], std::byte* plane) {
  for (unsigned s = 0; s < place::kSteps; ++s) {
    std::uint64_t word = 0;
    for (unsigned lane = 0; lane < kernels::kGroupRows; ++lane)
      word |= std::uint64_t{bits[lane] >> (4 * s) & 15U} << (4 * lane);
    std::memcpy(plane + 8 * s, &word, 8);
  }
}

// The codes' low four bits: what a type of five has in front of its plane.
inline void place_nibbles(const BlockCodes& u, std::byte* block) {
  place::Steps steps;
  place::by_steps(u, steps);
  place::nibbles(steps, block);
}

inline void place_codes(kernels::PackedType type, const BlockCodes& u, std::byte* block) {
  using place::kStepBytes;
  using place::kSteps;
  place::Steps steps;
  place::by_steps(u, steps);
  const unsigned bits = kernels::bits_of(type);
  if (bits == 8) {
    std::memcpy(block, steps, sizeof(steps));
    return;
  }
  if (bits < 4) {
    for (std::size_t h = 0; h < 2; ++h) place::join<2>(steps, h, 2, 0, block + h * kStepBytes);
    if (bits == 2) return;
    for (std::size_t s = 0; s < kSteps; ++s) place::bit_plane(steps[s], 2, block + 2 * kStepBytes + 8 * s);
    return;
  }
  place::nibbles(steps, block);
  std::byte* above = block + 4 * kStepBytes;
  if (bits == 5) {
    for (std::size_t s = 0; s < kSteps; ++s) place::bit_plane(steps[s], 4, above + 8 * s);
  } else if (bits == 6) {
    for (std::size_t h = 0; h < 2; ++h) place::join<2>(steps, 4 * h, 1, 4, above + h * kStepBytes);
  }
}

}  // namespace kvasir::weights
