#pragma once
// A tensor's rows in another form: re-quantised, or, where the new form can hold what the old one says, the
// same codes in another order.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/error.h"
#include "base/thread_pool.h"
#include "weights/checkpoint.h"
#include "weights/quantize.h"
#include "weights/tensor.h"

namespace kvasir::weights {

// What a tensor is written as: a GGUF type, or kAffine with its form.
struct Form {
  TensorType type = TensorType::kF32;
  AffineForm affine;

  bool is_affine() const { return type == TensorType::kAffine; }
  std::size_t row_bytes(std::size_t columns) const;
};

// Row r of what is written is row source_row(r) of the tensor. A llama's q and k rows lie in GGUF with
// rotary pairs as neighbours, in folders with halves of each head apart. A delta net's heads lie in GGUF in
// the order in which they read their key heads in turn, in folders those of a key head together.
struct RowOrder {
  enum class Kind { kSame, kHalvesToPairs, kPairsToHalves, kHeads };
  Kind kind = Kind::kSame;
  std::size_t head_rows = 0;
  // kHeads: head a * inner + b is head b * outer + a of the tensor, behind `before` rows that stay.
  std::size_t outer = 0;
  std::size_t inner = 0;
  std::size_t before = 0;

  std::uint64_t source_row(std::uint64_t row) const;
};

// That of t's rows where t makes queries or keys; all other tensors keep theirs.
RowOrder rotary_order(const Checkpoint& file, const TensorInfo& t, RowOrder::Kind kind);

// Of the rows and the columns of a delta net's tensors, where GGUF has another order of heads than folders.
struct HeadOrder {
  RowOrder rows;
  RowOrder columns;
};
HeadOrder head_order(const Checkpoint& file, const TensorInfo& t, bool to_gguf);

// Rows of a tensor among those of others: of block b of what is written, the rows [first + b * step, + rows).
struct RowRun {
  std::shared_ptr<const TensorInfo> tensor;
  std::uint64_t first = 0;
  std::uint64_t step = 0;
  std::uint64_t rows = 0;
};

struct RecodeJob {
  const TensorInfo* tensor = nullptr;
  Form form;
  RowOrder order;
  float minus = 0;          // of every element: for norms that folders store less one
  std::uint64_t first = 0;  // rows of the tensor; a vector whose order changes has rows of one element
  std::uint64_t rows = 0;
  // In place of the tensor's rows: blocks, of each of which these follow each other. All have as many
  // columns.
  std::vector<RowRun> runs = {};
  bool log_of_negative = false;  // v is written as log(-v): rates of decay, of which folders have that
  RowOrder columns = {};         // as `order`, of columns
};

// Where rows go, in order; scales and biases (u16 each) of affine forms only.
struct RecodedRows {
  std::span<const std::byte> codes;
  std::span<const std::uint16_t> scales;
  std::span<const std::uint16_t> biases;
};

// The form in which a tensor's codes stay what they are, for a file of GGUF or of MLX; nullopt where there is
// none.
std::optional<Form> exact_gguf_form(const TensorInfo& tensor);
std::optional<Form> exact_mlx_form(const TensorInfo& tensor);

// Calls `sink` with some megabytes at a time; the first error ends it.
Status recode(const RecodeJob& job, ThreadPool& pool, const std::function<Status(const RecodedRows&)>& sink);

}  // namespace kvasir::weights
