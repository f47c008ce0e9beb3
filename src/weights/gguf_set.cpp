#include "weights/gguf_set.h"

#include <cstdio>
#include <string_view>
#include <utility>

namespace kvasir::weights {
namespace {

constexpr std::uint64_t kMostFiles = 99'999;  // what the names can count

std::string file_of(std::string_view stem, std::uint64_t number, std::uint64_t count) {
  char end[32];
  std::snprintf(end, sizeof(end), "-%05u-of-%05u.gguf", static_cast<unsigned>(number),
                static_cast<unsigned>(count));
  return std::string(stem) + end;
}

}  // namespace

Result<std::shared_ptr<const GgufSet>> GgufSet::open(const std::string& path) {
  std::shared_ptr<GgufSet> set(new GgufSet());
  set->path_ = path;
  KVASIR_ASSIGN_OR_RETURN(auto first, GgufFile::open(path));
  const std::uint64_t count = first->integer("split.count").value_or(1);
  if (count == 0 || count > kMostFiles) {
    return make_error(ErrorCode::kCorruptData, path + ": 'split.count' is " + std::to_string(count), path);
  }
  const std::string_view stem = std::string_view(path).substr(0, path.size() - file_of("", 1, 1).size());
  set->metadata_ = first->metadata();
  set->files_.push_back(std::move(first));
  for (std::uint64_t n = 2; n <= count; ++n) {
    KVASIR_ASSIGN_OR_RETURN(auto file, GgufFile::open(file_of(stem, n, count)));
    if (file->integer("split.count") != count || file->integer("split.no") != n - 1) {
      return make_error(ErrorCode::kCorruptData,
                        file->path() + " is not file " + std::to_string(n) + " of the set of " + path, path);
    }
    set->files_.push_back(std::move(file));
  }
  for (const auto& file : set->files_) {
    set->tensors_.insert(set->tensors_.end(), file->tensors().begin(), file->tensors().end());
  }
  const std::uint64_t expected = set->integer("split.tensors.count").value_or(set->tensors_.size());
  if (expected != set->tensors_.size()) {
    return make_error(ErrorCode::kCorruptData,
                      path + ": its set has " + std::to_string(set->tensors_.size()) + " tensors, not the " +
                          std::to_string(expected) + " that it claims",
                      path);
  }
  if (const TensorInfo* twice = set->index_tensors()) {
    return make_error(ErrorCode::kCorruptData,
                      path + ": tensor '" + twice->name + "' occurs twice in its set", path);
  }
  return std::shared_ptr<const GgufSet>(std::move(set));
}

void GgufSet::release(const TensorInfo& tensor) const {
  for (const auto& file : files_) {
    const auto bytes = file->bytes();
    const std::byte* at = tensor.parts.front().data.data();
    if (at >= bytes.data() && at < bytes.data() + bytes.size()) return file->release(tensor);
  }
}

}  // namespace kvasir::weights
