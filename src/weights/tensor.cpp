#include "weights/tensor.h"

#include <algorithm>

#include "base/check.h"

namespace kvasir::weights {

std::uint64_t TensorInfo::rows() const {
  std::uint64_t n = 1;
  for (std::size_t i = 1; i < shape.size(); ++i) n *= shape[i];
  return n;
}

std::uint64_t TensorInfo::bytes() const {
  std::uint64_t n = 0;
  for (const TensorPart& p : parts) n += p.data.size();
  return n;
}

TensorPart TensorPart::slice(std::uint64_t first, std::uint64_t count) const {
  const auto cut = [&](std::span<const std::byte> bytes) {
    const std::size_t row = bytes.size() / static_cast<std::size_t>(rows);
    return bytes.subspan(static_cast<std::size_t>(first) * row, static_cast<std::size_t>(count) * row);
  };
  return {count, cut(data)};
}

TensorInfo matrix_of(const TensorInfo& stack, std::uint64_t index) {
  const std::uint64_t rows = stack.shape.size() > 1 ? stack.shape[1] : 1;
  TensorInfo matrix;
  matrix.name = stack.name + "[" + std::to_string(index) + "]";
  matrix.type = stack.type;
  matrix.shape = {stack.columns(), rows};
  matrix.plus = stack.plus;
  std::uint64_t first = index * rows;
  std::uint64_t wanted = rows;
  for (const TensorPart& p : stack.parts) {
    if (wanted == 0) break;
    if (first >= p.rows) {
      first -= p.rows;
      continue;
    }
    const std::uint64_t n = std::min(wanted, p.rows - first);
    matrix.parts.push_back(p.slice(first, n));
    wanted -= n;
    first = 0;
  }
  KVASIR_CHECK(wanted == 0, "the stack has a matrix of this number");
  return matrix;
}

}  // namespace kvasir::weights
