#pragma once
// What the readers of a folder's files fill, in GGUF's vocabulary. Private to this layer.

#include <boost/json.hpp>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/error.h"
#include "weights/checkpoint.h"

namespace kvasir::weights {

struct FolderData {
  std::string path;  // of the folder, for errors
  std::unordered_map<std::string_view, MetaValue> metadata;
  std::vector<TensorInfo> tensors;
  std::deque<std::string> strings;
  std::deque<std::vector<float>> computed;

  std::string_view keep(std::string text) { return strings.emplace_back(std::move(text)); }
  void set(std::string key, MetaValue value) {
    metadata.insert_or_assign(keep(std::move(key)), std::move(value));
  }
  void set_text(std::string key, std::string value) { set(std::move(key), keep(std::move(value))); }
  // A vector, or a tensor of a shape, that no file holds.
  void add_computed(std::string name, std::vector<float> values, std::vector<std::uint64_t> shape = {});

  Error unsupported(const std::string& what) const {
    return make_error(ErrorCode::kUnsupported, path + ": " + what, path);
  }
  Error corrupt(const std::string& what) const {
    return make_error(ErrorCode::kCorruptData, path + ": " + what, path);
  }
};

// A field that is there and not null, or null.
inline const boost::json::value* field(const boost::json::object& o, std::string_view name) {
  const boost::json::value* v = o.if_contains(name);
  return v != nullptr && !v->is_null() ? v : nullptr;
}
// A string field, or nothing.
inline std::string_view text_field(const boost::json::object& o, std::string_view name) {
  const boost::json::value* v = field(o, name);
  return v != nullptr && v->is_string() ? std::string_view(v->get_string()) : std::string_view();
}
inline const boost::json::object* object_field(const boost::json::object& o, std::string_view name) {
  const boost::json::value* v = field(o, name);
  return v != nullptr ? v->if_object() : nullptr;
}
// A number of any kind, or nullopt.
inline std::optional<double> number_field(const boost::json::object& o, std::string_view name) {
  const boost::json::value* v = field(o, name);
  if (v == nullptr || !v->is_number()) return std::nullopt;
  return v->to_number<double>();
}

// A file of the folder: nothing where it is missing, kIo or kCorruptData where it cannot be read as such.
Result<std::optional<std::string>> read_folder_text(const std::string& folder, std::string_view name);
Result<std::optional<boost::json::object>> read_folder_json(const std::string& folder, std::string_view name);

}  // namespace kvasir::weights
