#pragma once
// Floats -> quantised rows, of GGUF's types and of MLX's affine ones. Scales are chosen for the least squared
// error; what is read back is weights/dequantize.h's.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/packed.h"
#include "weights/tensor.h"

namespace kvasir::weights {

// Whether quantize_row() makes it: F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K, Q6_K.
bool can_quantize(TensorType type);

// One row, `x.size()` being whole blocks of the type. out: x.size() / elements_per_block * bytes_per_block
void quantize_row(TensorType type, std::span<const float> x, std::byte* out);

// One row as MLX stores it: codes as one little-endian bit stream (x.size() * bits / 8 bytes), scales and
// biases in f16 or bf16, one each for `group` weights.
struct AffineForm {
  unsigned bits = 4;
  std::size_t group = 64;
  kernels::ScaleType scales = kernels::ScaleType::kF16;
};
void quantize_affine_row(const AffineForm& form, std::span<const float> x, std::byte* codes,
                         std::uint16_t* scales, std::uint16_t* biases);

}  // namespace kvasir::weights
