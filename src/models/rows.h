#pragma once
// Rows of activations. All matrices of activations are row-major (tokens, features).

#include <cstddef>

#include "base/aligned_buffer.h"
#include "kernels/kernels.h"

namespace kvasir::models {

// Activation rows, with their int8 form once quantised. Grows, never shrinks.
class Rows {
 public:
  // Room for `tokens` rows of `columns`; contents are undefined afterwards.
  void resize(std::size_t tokens, std::size_t columns);
  // Quantised with two planes (about 15 bits) instead of one (8 bits). Set before resize().
  void set_precise(bool precise) { precise_ = precise; }
  bool precise() const { return precise_; }
  float* row(std::size_t t) { return floats_.as<float>().data() + t * columns_; }
  float* data() { return row(0); }
  std::size_t tokens() const { return tokens_; }
  std::size_t columns() const { return columns_; }
  const kernels::QuantizedRows& quantized() const { return quantized_; }
  // The rows from `first` on.
  kernels::QuantizedRows quantized_from(std::size_t first) const;
  // Row `to` becomes a copy of another's row, in both forms; both have the same columns and precision.
  void copy_row(Rows& from, std::size_t row, std::size_t to);

 private:
  std::size_t tokens_ = 0;
  std::size_t columns_ = 0;
  bool precise_ = false;
  AlignedBuffer floats_;
  AlignedBuffer bytes_;
  kernels::QuantizedRows quantized_;
};

}  // namespace kvasir::models
