#pragma once
// A tensor of a checkpoint: its shape, how its elements are stored, and where they lie.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kvasir::weights {

// Tensor types by their GGUF number. Only those that this build reads.
enum class TensorType : std::uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kBF16 = 30,
};

std::string_view name_of(TensorType type);
std::size_t elements_per_block(TensorType type);  // 1, 32 or 256
std::size_t bytes_per_block(TensorType type);

// Rows that lie together. Into the checkpoint's mapping.
struct TensorPart {
  std::uint64_t rows = 0;
  std::span<const std::byte> data;

  // The `count` rows from `first` on.
  TensorPart slice(std::uint64_t first, std::uint64_t count) const;
};

// Shape in GGUF order: shape[0] is the contiguous (row) dimension. Rows are the product of the others, in
// order.
struct TensorInfo {
  std::string name;
  TensorType type = TensorType::kF32;
  std::vector<std::uint64_t> shape;  // 1 to 4 dimensions, none zero
  std::vector<TensorPart> parts;     // its rows, in order; one in GGUF files
  // Added to every element when it is read: 1 for norms that a folder stores less it. GGUF's form, the sum,
  // is what families see.
  float plus = 0;

  std::uint64_t columns() const { return shape[0]; }
  std::uint64_t rows() const;
  std::uint64_t bytes() const;  // stored
};

// The matrix number `index` of a stack (shape: columns, rows, count): an expert's, for one.
TensorInfo matrix_of(const TensorInfo& stack, std::uint64_t index);

}  // namespace kvasir::weights
