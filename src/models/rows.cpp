#include "models/rows.h"

#include <algorithm>

namespace kvasir::models {
namespace {

std::size_t cache_line(std::size_t bytes) {
  return (bytes + 63) / 64 * 64;
}

}  // namespace

void Rows::resize(std::size_t tokens, std::size_t columns) {
  tokens_ = tokens;
  columns_ = columns;
  const std::size_t float_bytes = cache_line(tokens * columns * sizeof(float));
  if (floats_.size() < float_bytes) floats_ = AlignedBuffer(float_bytes);
  const std::size_t blocks = columns / kernels::kBlockK;
  const std::size_t q = cache_line(tokens * columns);
  const std::size_t per_block = cache_line(tokens * blocks * sizeof(float));
  const std::size_t planes = precise_ ? 2 : 1;
  const std::size_t bytes = planes * q + 5 * per_block;
  if (bytes_.size() < bytes) bytes_ = AlignedBuffer(bytes);
  std::byte* p = bytes_.data();
  quantized_.k = columns;
  quantized_.q = reinterpret_cast<std::int8_t*>(p);
  quantized_.low = precise_ ? reinterpret_cast<std::int8_t*>(p + q) : nullptr;
  p += planes * q;
  quantized_.scale = reinterpret_cast<float*>(p);
  quantized_.scaled_sum = reinterpret_cast<float*>(p + per_block);
  quantized_.shift32 = reinterpret_cast<std::int32_t*>(p + 2 * per_block);
  quantized_.shift = reinterpret_cast<std::int32_t*>(p + 3 * per_block);
}

kernels::QuantizedRows Rows::quantized_from(std::size_t first) const {
  kernels::QuantizedRows view = quantized_;
  const std::size_t blocks = columns_ / kernels::kBlockK;
  view.q += first * columns_;
  if (view.low != nullptr) view.low += first * columns_;
  view.scale += first * blocks;
  view.scaled_sum += first * blocks;
  view.shift32 += first * blocks;
  view.shift += first * blocks * 2;
  return view;
}

void Rows::copy_row(Rows& from, std::size_t row, std::size_t to) {
  const std::size_t blocks = columns_ / kernels::kBlockK;
  const kernels::QuantizedRows a = from.quantized_from(row);
  const kernels::QuantizedRows b = quantized_from(to);
  std::copy_n(from.row(row), columns_, this->row(to));
  std::copy_n(a.q, columns_, b.q);
  if (b.low != nullptr) std::copy_n(a.low, columns_, b.low);
  std::copy_n(a.scale, blocks, b.scale);
  std::copy_n(a.scaled_sum, blocks, b.scaled_sum);
  std::copy_n(a.shift32, blocks, b.shift32);
  std::copy_n(a.shift, blocks * 2, b.shift);
}

}  // namespace kvasir::models
