#pragma once
// Reads a model's tensors in two steps: everything is named and its shape checked first, so that a model
// which cannot be computed is refused before any weight is read; then weights are repacked into their places.

#include <string>
#include <vector>

#include "models/model.h"

namespace kvasir::models {

struct RowRange {
  std::size_t first = 0;
  std::size_t rows = 0;
};

class TensorReader {
 public:
  TensorReader(const weights::Checkpoint& file, const LoadOptions& options)
      : file_(file), options_(options) {}

  // What to read, and where to. The places must live, unmoved, until load(). The first failure is kept.
  void vector(const std::string& name, std::size_t n, std::vector<float>& out);
  // A vector, or a table whose other dimension is 1.
  void flat(const std::string& name, std::size_t n, std::vector<float>& out);
  void table(const std::string& name, std::size_t rows, std::size_t columns, std::vector<float>& out);
  void matrix(const std::string& name, std::size_t rows, std::size_t columns, kernels::PackedMatrix& out);
  // Rows [first, first + rows) of a tensor of `all_rows`.
  void rows(const std::string& name, std::size_t all_rows, std::size_t first, std::size_t rows,
            std::size_t columns, kernels::PackedMatrix& out);
  // Several runs of rows, one behind the other.
  void ranges(const std::string& name, std::size_t all_rows, const std::vector<RowRange>& ranges,
              std::size_t columns, kernels::PackedMatrix& out);
  // A stack (count, rows, columns) as a matrix each.
  void stack(const std::string& name, std::size_t count, std::size_t rows, std::size_t columns,
             std::vector<kernels::PackedMatrix>& out);
  // A tensor that stays in the file; null where it is not as said.
  const weights::TensorInfo* in_file(const std::string& name, std::size_t rows, std::size_t columns);
  bool has(const std::string& name) const { return file_.tensor(name) != nullptr; }

  // The first failure, or any tensor of the file that was not asked for and does not match one of `unused`
  // (description.h).
  Status check(const std::vector<std::string>& unused) const;
  Status load();

  std::size_t bytes() const { return bytes_; }  // resident, of all that was loaded (or measured)

 private:
  struct Matrix {
    weights::TensorInfo part;  // the rows that go into `out`
    kernels::PackedMatrix* out = nullptr;
  };
  struct Vector {
    const weights::TensorInfo* tensor = nullptr;
    std::vector<float>* out = nullptr;
  };
  const weights::TensorInfo* find(const std::string& name, std::size_t rows, std::size_t columns);
  void fail(const std::string& what);

  const weights::Checkpoint& file_;
  const LoadOptions& options_;
  std::vector<Matrix> matrices_;
  std::vector<Vector> vectors_;
  std::vector<std::string> asked_;
  std::size_t bytes_ = 0;
  Status status_;
};

}  // namespace kvasir::models
