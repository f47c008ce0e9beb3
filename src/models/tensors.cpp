#include "models/tensors.h"

#include <algorithm>
#include <memory>
#include <numeric>
#include <unordered_set>
#include <utility>

#include "weights/dequantize.h"
#include "weights/repack.h"

namespace kvasir::models {
namespace {

// Rows [first, first + rows) of a tensor: as a stack of matrices of so many rows that it can be cut there,
// those between.
weights::TensorInfo slice(const weights::TensorInfo& t, std::size_t first, std::size_t rows) {
  const auto all = static_cast<std::size_t>(t.rows());
  const std::size_t height = std::gcd(std::gcd(first, rows), all);
  weights::TensorInfo stack = t;
  stack.shape = {t.columns(), height, all / height};
  weights::TensorInfo out = weights::matrix_of(stack, first / height);
  for (std::size_t i = 1; i < rows / height; ++i) {
    const weights::TensorInfo next = weights::matrix_of(stack, first / height + i);
    out.parts.insert(out.parts.end(), next.parts.begin(), next.parts.end());
  }
  out.name = t.name;
  out.shape = {t.columns(), rows};
  return out;
}

bool matches(const std::string& name, const std::string& pattern) {
  if (!pattern.ends_with('*')) return name == pattern;
  return name.starts_with(pattern.substr(0, pattern.size() - 1));
}

}  // namespace

const weights::TensorInfo* TensorReader::find(const std::string& name, std::size_t rows,
                                              std::size_t columns) {
  if (!status_.ok()) return nullptr;
  const weights::TensorInfo* t = file_.tensor(name);
  if (t == nullptr) {
    fail("tensor '" + name + "' is missing");
    return nullptr;
  }
  if (t->rows() != rows || t->columns() != columns) {
    fail("tensor '" + name + "' has shape (" + std::to_string(t->rows()) + ", " +
         std::to_string(t->columns()) + "), expected (" + std::to_string(rows) + ", " +
         std::to_string(columns) + ")");
    return nullptr;
  }
  asked_.push_back(name);
  return t;
}

const weights::TensorInfo* TensorReader::in_file(const std::string& name, std::size_t rows,
                                                 std::size_t columns) {
  return find(name, rows, columns);
}

void TensorReader::vector(const std::string& name, std::size_t n, std::vector<float>& out) {
  table(name, 1, n, out);
}

void TensorReader::flat(const std::string& name, std::size_t n, std::vector<float>& out) {
  const weights::TensorInfo* t = file_.tensor(name);
  const bool column = t != nullptr && t->rows() == n && t->columns() == 1;
  table(name, column ? n : 1, column ? 1 : n, out);
}

void TensorReader::table(const std::string& name, std::size_t rows, std::size_t columns,
                         std::vector<float>& out) {
  if (const weights::TensorInfo* t = find(name, rows, columns)) vectors_.push_back({t, &out});
}

void TensorReader::matrix(const std::string& name, std::size_t rows, std::size_t columns,
                          kernels::PackedMatrix& out) {
  this->rows(name, rows, 0, rows, columns, out);
}

void TensorReader::rows(const std::string& name, std::size_t all_rows, std::size_t first, std::size_t rows,
                        std::size_t columns, kernels::PackedMatrix& out) {
  ranges(name, all_rows, {{first, rows}}, columns, out);
}

void TensorReader::ranges(const std::string& name, std::size_t all_rows, const std::vector<RowRange>& ranges,
                          std::size_t columns, kernels::PackedMatrix& out) {
  const weights::TensorInfo* t = find(name, all_rows, columns);
  if (t == nullptr) return;
  weights::TensorInfo all = slice(*t, ranges.front().first, ranges.front().rows);
  for (std::size_t i = 1; i < ranges.size(); ++i) {
    const weights::TensorInfo next = slice(*t, ranges[i].first, ranges[i].rows);
    all.parts.insert(all.parts.end(), next.parts.begin(), next.parts.end());
    all.shape[1] += next.shape[1];
  }
  matrices_.push_back({std::move(all), &out});
}

void TensorReader::stack(const std::string& name, std::size_t count, std::size_t rows, std::size_t columns,
                         std::vector<kernels::PackedMatrix>& out) {
  const weights::TensorInfo* t = find(name, count * rows, columns);
  if (t == nullptr) return;
  out.resize(count);
  for (std::size_t i = 0; i < count; ++i) matrices_.push_back({slice(*t, i * rows, rows), &out[i]});
}

Status TensorReader::check(const std::vector<std::string>& unused) const {
  KVASIR_RETURN_IF_ERROR(status_);
  const std::unordered_set<std::string> asked(asked_.begin(), asked_.end());
  for (const weights::TensorInfo& t : file_.tensors()) {
    if (asked.contains(t.name) ||
        std::ranges::any_of(unused, [&](const std::string& u) { return matches(t.name, u); })) {
      continue;
    }
    return make_error(ErrorCode::kUnsupported,
                      file_.path() + ": tensor '" + t.name +
                          "' is of a variant of its family that this build does not compute",
                      file_.path());
  }
  return {};
}

Status TensorReader::load() {
  double total = 1;
  for (const Matrix& m : matrices_) total += static_cast<double>(m.part.bytes());
  double done = 0;
  if (options_.measure_only) {
    for (const Vector& v : vectors_)
      bytes_ += static_cast<std::size_t>(v.tensor->rows() * v.tensor->columns()) * sizeof(float);
    for (const Matrix& m : matrices_) bytes_ += weights::packed_bytes(m.part);
    return {};
  }
  const auto before = [&](const weights::TensorInfo& tensor) {
    if (options_.before_tensor) options_.before_tensor(tensor);
  };
  for (const Vector& v : vectors_) {
    before(*v.tensor);
    *v.out = weights::dequantize(*v.tensor);
    bytes_ += v.out->size() * sizeof(float);
  }
  // All in one piece, so that small matrices lie in huge pages too.
  std::size_t packed = 0;
  for (const Matrix& m : matrices_) packed += weights::packed_bytes(m.part);
  const auto whole = std::make_shared<AlignedBuffer>(packed);
  std::size_t at = 0;
  for (const Matrix& m : matrices_) {
    if (options_.stop != nullptr && options_.stop->load(std::memory_order_relaxed))
      return make_error(ErrorCode::kCancelled, "loading was stopped", file_.path());
    before(*file_.tensor(m.part.name));
    AlignedBuffer place(whole, at, weights::packed_bytes(m.part));
    at += place.size();
    KVASIR_ASSIGN_OR_RETURN(*m.out, weights::repack(m.part, *options_.pool, std::move(place)));
    file_.release(m.part);
    bytes_ += m.out->data.size();
    done += static_cast<double>(m.part.bytes());
    if (options_.progress) options_.progress(std::min(1.0, done / total));
  }
  return {};
}

void TensorReader::fail(const std::string& what) {
  if (status_.ok()) status_ = make_error(ErrorCode::kCorruptData, file_.path() + ": " + what, file_.path());
}

}  // namespace kvasir::models
