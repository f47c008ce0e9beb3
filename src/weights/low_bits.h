#pragma once
// GGUF's types of few bits, 32 values at a time: codes as the packed layouts have them (kernels/packed.h),
// and what scales them. Layouts by ggml's block definitions, as the `gguf` package decodes them.
//
//   w = d * sub * factor * codebook[u]   IQ1, IQ2, IQ3, IQ4_XS: d an f16 for 256, sub an integer for 16 or 32
//   w = d * factor * codebook[u]         IQ4_NL (f16 for 32), MXFP4 (e8m0 for 32), NVFP4 (e4m3 for 16)
//   w = d * (u - 1)                      TQ1_0, TQ2_0: d an f16 for 256
//   w = d * sub * (u - 4)                Q3_K: sub for 16
//   w = d * sub * u - dmin * min         Q2_K: sub and min for 16

#include <array>
#include <cstddef>
#include <cstdint>

#include "weights/tensor.h"

namespace kvasir::weights {

// Of the 16 values of each half, or of all 32 where the type's scales cover those: then only [0] is set.
struct LowBits {
  std::uint8_t u[32];
  // Of IQ1, IQ2 and IQ3: where the same values are in the type's table, 8 (IQ3: 4) by an index, and for each
  // of the 32 whether it is negative (of IQ1: moved down).
  std::uint16_t index[8] = {};
  std::uint32_t negative = 0;
  std::uint16_t d = 0;             // f16 bits, of types that have one for 32 or more
  std::uint16_t dmin = 0;          // of Q2_K
  std::uint8_t scale[2] = {0, 0};  // of MXFP4 and NVFP4, as stored
  std::int8_t sub[2] = {1, 1};
  std::uint8_t min[2] = {0, 0};
};

bool is_low_bits(TensorType type);
// The 32 values of block `b` (0 to elements / 32 - 1) of the type's own block at `p`.
LowBits read_low_bits(TensorType type, const std::byte* p, std::size_t b);

// Of the types with a codebook.
struct Codebook {
  std::array<std::int8_t, 16> values{};
  float factor = 1;
};
const Codebook& codebook_of(TensorType type);

// The packed form of the type, without its size.
kernels::PackedMatrix low_bits_form(TensorType type);

}  // namespace kvasir::weights
