#pragma once
// GGUF tensor rows as floats, by the definitions of ggml's block types. The plain reference for the repacked
// layouts, and the way norms, biases and tables are read.

#include <cstddef>
#include <span>
#include <vector>

#include "weights/gguf.h"

namespace kvasir::weights {

// `count` elements (a multiple of the type's block) from the start of `data`. out: (count)
void dequantize(TensorType type, const std::byte* data, std::size_t count, float* out);

// A whole tensor, rows after each other.
std::vector<float> dequantize(const TensorInfo& tensor);

}  // namespace kvasir::weights
