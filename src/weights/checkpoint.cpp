#include "weights/checkpoint.h"

#include <filesystem>

#include "weights/folder.h"
#include "weights/gguf.h"
#include "weights/gguf_set.h"

namespace kvasir::weights {
namespace {

template <class T>
const std::vector<T>* array_of(const MetaValue* v) {
  const auto* a = v != nullptr ? std::get_if<MetaArray>(v) : nullptr;
  return a != nullptr ? std::get_if<std::vector<T>>(a) : nullptr;
}

}  // namespace

const MetaValue* Checkpoint::find(std::string_view key) const {
  const auto it = metadata_.find(key);
  return it == metadata_.end() ? nullptr : &it->second;
}

std::optional<std::string_view> Checkpoint::string(std::string_view key) const {
  const MetaValue* v = find(key);
  const auto* s = v ? std::get_if<std::string_view>(v) : nullptr;
  return s ? std::optional(*s) : std::nullopt;
}

std::optional<std::uint64_t> Checkpoint::integer(std::string_view key) const {
  const MetaValue* v = find(key);
  if (v == nullptr) return std::nullopt;
  if (const auto* u = std::get_if<std::uint64_t>(v)) return *u;
  if (const auto* i = std::get_if<std::int64_t>(v); i && *i >= 0) return static_cast<std::uint64_t>(*i);
  return std::nullopt;
}

std::optional<double> Checkpoint::number(std::string_view key) const {
  const MetaValue* v = find(key);
  if (v == nullptr) return std::nullopt;
  if (const auto* d = std::get_if<double>(v)) return *d;
  if (const auto* i = std::get_if<std::int64_t>(v)) return static_cast<double>(*i);
  if (const auto* u = std::get_if<std::uint64_t>(v)) return static_cast<double>(*u);
  return std::nullopt;
}

std::optional<bool> Checkpoint::boolean(std::string_view key) const {
  const MetaValue* v = find(key);
  const auto* b = v ? std::get_if<bool>(v) : nullptr;
  return b ? std::optional(*b) : std::nullopt;
}

const std::vector<std::string_view>* Checkpoint::strings(std::string_view key) const {
  return array_of<std::string_view>(find(key));
}
const std::vector<std::int64_t>* Checkpoint::integers(std::string_view key) const {
  return array_of<std::int64_t>(find(key));
}
const std::vector<double>* Checkpoint::numbers(std::string_view key) const {
  return array_of<double>(find(key));
}

const TensorInfo* Checkpoint::tensor(std::string_view name) const {
  const auto it = tensor_index_.find(name);
  return it == tensor_index_.end() ? nullptr : &tensors_[it->second];
}

const TensorInfo* Checkpoint::index_tensors() {
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    if (!tensor_index_.emplace(tensors_[i].name, i).second) return &tensors_[i];
  }
  return nullptr;
}

std::uint64_t Checkpoint::tensor_bytes() const {
  std::uint64_t sum = 0;
  for (const TensorInfo& t : tensors_) sum += t.bytes();
  return sum;
}

std::optional<unsigned> split_number(std::string_view path) {
  constexpr std::string_view kForm = "-NNNNN-of-NNNNN.gguf";
  if (path.size() <= kForm.size()) return std::nullopt;
  const std::string_view end = path.substr(path.size() - kForm.size());
  unsigned number = 0;
  for (std::size_t i = 0; i < kForm.size(); ++i) {
    const bool digit = end[i] >= '0' && end[i] <= '9';
    if (kForm[i] == 'N' ? !digit : end[i] != kForm[i]) return std::nullopt;
    if (i < 6 && digit) number = number * 10 + static_cast<unsigned>(end[i] - '0');
  }
  return number;
}

Result<std::shared_ptr<const Checkpoint>> open_checkpoint(const std::string& path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    KVASIR_ASSIGN_OR_RETURN(auto folder, Folder::open(path));
    return std::shared_ptr<const Checkpoint>(std::move(folder));
  }
  const std::optional<unsigned> number = split_number(path);
  if (number == 1U) {
    KVASIR_ASSIGN_OR_RETURN(auto set, GgufSet::open(path));
    return std::shared_ptr<const Checkpoint>(std::move(set));
  }
  if (number) {
    return make_error(
        ErrorCode::kInvalidArgument,
        path + " is file " + std::to_string(*number) + " of a split model; name the first, -00001-of-...",
        path);
  }
  KVASIR_ASSIGN_OR_RETURN(auto file, GgufFile::open(path));
  return std::shared_ptr<const Checkpoint>(std::move(file));
}

}  // namespace kvasir::weights
