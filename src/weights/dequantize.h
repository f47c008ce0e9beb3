#pragma once
// Tensor rows as floats, by the definitions of their types. The plain reference for the repacked layouts, and
// the way norms, biases and tables are read.

#include <cstdint>
#include <vector>

#include "weights/tensor.h"

namespace kvasir::weights {

// The `count` rows from `first` on. out: (count, columns)
void dequantize_rows(const TensorInfo& tensor, std::uint64_t first, std::uint64_t count, float* out);

// A whole tensor, rows after each other.
std::vector<float> dequantize(const TensorInfo& tensor);

}  // namespace kvasir::weights
