#pragma once
// A tensor of a checkpoint: its shape, how its elements are stored, and where they lie.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/packed.h"

namespace kvasir::weights {

// Tensor types that this build reads.
enum class TensorType : std::uint32_t {
  // By their GGUF number: blocks that hold codes and scales.
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ2_K = 10,
  kQ3_K = 11,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kIQ2_XXS = 16,
  kIQ2_XS = 17,
  kIQ3_XXS = 18,
  kIQ1_S = 19,
  kIQ4_NL = 20,
  kIQ3_S = 21,
  kIQ2_S = 22,
  kIQ4_XS = 23,
  kIQ1_M = 29,
  kBF16 = 30,
  kTQ1_0 = 34,
  kTQ2_0 = 35,
  kMXFP4 = 39,
  kNVFP4 = 40,

  // Of folders: codes and scales lie apart (Scaling says how they belong together). Codes of a row are one
  // little-endian bit stream, the first in the lowest bits.
  kAffine = 0x10000,  // w = scale * code + bias; codes of Scaling::bits bits (MLX)
  kFp4,               // w = scale * e2m1, 4 bits (MLX: mxfp4, nvfp4)
  kFp8,               // w = scale * e4m3, 8 bits (MLX: mxfp8; Hugging Face: fp8)
};

std::string_view name_of(TensorType type);
// Of types whose blocks hold all: elements (1, 32, 64 or 256) and bytes. 0 for those whose scales lie apart.
std::size_t elements_per_block(TensorType type);
std::size_t bytes_per_block(TensorType type);

// The type of a GGUF number, where this build reads it, and the names of all such types ("F32, F16, ...").
std::optional<TensorType> gguf_type(std::uint32_t number);
std::string gguf_type_names();
// Of any number, for errors: its name, where GGUF gives it one.
std::string gguf_type_name(std::uint32_t number);

// How scales (and biases) that lie apart cover a matrix: one for every `columns` of every `rows`.
struct Scaling {
  unsigned bits = 0;  // of a code
  kernels::ScaleType type = kernels::ScaleType::kF32;
  std::uint64_t columns = 0;
  std::uint64_t rows = 1;

  bool operator==(const Scaling&) const = default;
};

// Rows that lie together, or, with a step above 1, every so-manieth of some that do. Into the checkpoint's
// mapping.
struct TensorPart {
  std::uint64_t rows = 0;
  std::uint64_t step = 1;
  std::span<const std::byte> data;    // from the first row to the last
  std::span<const std::byte> scales;  // (rows / Scaling::rows, columns / Scaling::columns), both rounded up
  std::span<const std::byte> biases;  // of kAffine: as scales
  std::uint64_t scaled_rows_before = 0;  // rows of the file that the scales cover in front of the first
};

// Shape in GGUF order: shape[0] is the contiguous (row) dimension. Rows are the product of the others, in
// order.
struct TensorInfo {
  std::string name;
  TensorType type = TensorType::kF32;
  std::vector<std::uint64_t> shape;  // 1 to 4 dimensions, none zero
  std::vector<TensorPart> parts;     // its rows, in order; one in GGUF files
  Scaling scaling;                   // of types whose scales lie apart
  // Added to every element when it is read: 1 for norms that a folder stores less it. GGUF's form, the sum,
  // is what families see.
  float plus = 0;
  // Each matrix (shape[0], shape[1]) lies the other way round: parts and scaling are those of a stack of
  // (shape[1], shape[0]). Of plain types and of those whose scales lie apart.
  bool transposed = false;

  std::uint64_t columns() const { return shape[0]; }
  std::uint64_t rows() const;
  std::uint64_t bytes() const;      // stored, scales included
  std::uint64_t row_bytes() const;  // of codes or blocks, as they lie
};

// The matrix number `index` of a stack (shape: columns, rows, count): an expert's, for one.
TensorInfo matrix_of(const TensorInfo& stack, std::uint64_t index);

// Where one row's codes or blocks, scales and biases begin.
struct TensorRow {
  const std::byte* data = nullptr;
  const std::byte* scales = nullptr;
  const std::byte* biases = nullptr;
};
// Of every row, in order, from `first` on; of a transposed tensor, of the rows that lie there.
std::vector<TensorRow> rows_of(const TensorInfo& tensor, std::uint64_t first, std::uint64_t count);

}  // namespace kvasir::weights
