#include "weights/safetensors.h"

#include <boost/json.hpp>
#include <cstring>
#include <limits>
#include <optional>
#include <utility>

namespace kvasir::weights {
namespace {

namespace json = boost::json;

// The format's own limit.
constexpr std::uint64_t kMostHeaderBytes = 100'000'000;
constexpr std::size_t kMostDimensions = 8;

struct ElementTraits {
  Element element;
  std::string_view name;
  std::size_t bytes;
};
constexpr ElementTraits kElements[] = {
    {Element::kF64, "F64", 8},   {Element::kF32, "F32", 4},        {Element::kF16, "F16", 2},
    {Element::kBF16, "BF16", 2}, {Element::kF8E4M3, "F8_E4M3", 1}, {Element::kF8E5M2, "F8_E5M2", 1},
    {Element::kI64, "I64", 8},   {Element::kI32, "I32", 4},        {Element::kU32, "U32", 4},
    {Element::kI16, "I16", 2},   {Element::kI8, "I8", 1},          {Element::kU8, "U8", 1},
    {Element::kBool, "BOOL", 1},
};

const ElementTraits* traits_of(std::string_view name) {
  for (const ElementTraits& e : kElements) {
    if (e.name == name) return &e;
  }
  return nullptr;
}

std::optional<std::uint64_t> natural(const json::value& v) {
  if (const auto* i = v.if_int64(); i != nullptr && *i >= 0) return static_cast<std::uint64_t>(*i);
  if (const auto* u = v.if_uint64()) return *u;
  return std::nullopt;
}

std::optional<std::vector<std::uint64_t>> naturals(const json::value* v, std::size_t most) {
  const json::array* a = v != nullptr ? v->if_array() : nullptr;
  if (a == nullptr || a->size() > most) return std::nullopt;
  std::vector<std::uint64_t> out;
  for (const json::value& item : *a) {
    const auto n = natural(item);
    if (!n) return std::nullopt;
    out.push_back(*n);
  }
  return out;
}

// Bytes of a shape, or nullopt where they do not fit 63 bits.
std::optional<std::uint64_t> bytes_of_shape(const std::vector<std::uint64_t>& shape, std::size_t element) {
  std::uint64_t n = element;
  for (const std::uint64_t extent : shape) {
    if (extent != 0 && n > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) / extent) {
      return std::nullopt;
    }
    n *= extent;
  }
  return n;
}

}  // namespace

std::string_view name_of(Element element) {
  return kElements[static_cast<std::size_t>(element)].name;
}
std::size_t bytes_of(Element element) {
  return kElements[static_cast<std::size_t>(element)].bytes;
}

std::uint64_t SafeTensor::count() const {
  return data.size() / bytes_of(element);
}

Error SafetensorsFile::corrupt(const std::string& what) const {
  return make_error(ErrorCode::kCorruptData, path_ + ": " + what + "; is the download complete?", path_);
}

Status SafetensorsFile::read_header() {
  std::uint64_t length = 0;
  if (bytes_.size() < sizeof(length)) return corrupt("the file is shorter than a safetensors header");
  std::memcpy(&length, bytes_.data(), sizeof(length));
  if (length > kMostHeaderBytes || length > bytes_.size() - sizeof(length)) {
    return corrupt("its header claims " + std::to_string(length) + " bytes, the file has " +
                   std::to_string(bytes_.size()) + " in all");
  }
  const std::string_view text(reinterpret_cast<const char*>(bytes_.data()) + sizeof(length),
                              static_cast<std::size_t>(length));
  boost::system::error_code failed;
  const json::value header = json::parse(text, failed);
  if (failed || !header.is_object()) return corrupt("its header is not a JSON object");
  const std::span<const std::byte> data = bytes_.subspan(sizeof(length) + static_cast<std::size_t>(length));

  for (const auto& [key, value] : header.get_object()) {
    if (key == "__metadata__") continue;
    SafeTensor t;
    t.name = key;
    const std::string label = "tensor '" + t.name + "'";
    const json::object* entry = value.if_object();
    const json::value* type = entry != nullptr ? entry->if_contains("dtype") : nullptr;
    if (type == nullptr || !type->is_string()) return corrupt(label + " names no element type");
    const ElementTraits* traits = traits_of(type->get_string());
    if (traits == nullptr) {
      return make_error(ErrorCode::kUnsupported,
                        path_ + ": " + label + " has elements of type " + std::string(type->get_string()) +
                            ", which this build does not know",
                        path_);
    }
    t.element = traits->element;
    const auto shape = naturals(entry->if_contains("shape"), kMostDimensions);
    const auto place = naturals(entry->if_contains("data_offsets"), 2);
    const auto size = shape ? bytes_of_shape(*shape, traits->bytes) : std::nullopt;
    if (!size || !place || place->size() != 2) return corrupt(label + " has an absurd shape or place");
    const auto [begin, end] = std::pair((*place)[0], (*place)[1]);
    if (begin > end || end > data.size() || end - begin != *size) {
      return corrupt(label + " of " + std::to_string(*size) + " bytes lies at " + std::to_string(begin) +
                     " to " + std::to_string(end) + " of " + std::to_string(data.size()));
    }
    t.shape = *shape;
    t.data = data.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(*size));
    tensors_.push_back(std::move(t));
  }
  return {};
}

Result<std::shared_ptr<const SafetensorsFile>> SafetensorsFile::open(const std::string& path) {
  KVASIR_ASSIGN_OR_RETURN(auto mapping, MappedFile::open(path));
  std::shared_ptr<SafetensorsFile> file(new SafetensorsFile());
  file->path_ = path;
  file->bytes_ = mapping->bytes();
  file->mapping_ = std::move(mapping);
  KVASIR_RETURN_IF_ERROR(file->read_header());
  return std::shared_ptr<const SafetensorsFile>(std::move(file));
}

Result<std::shared_ptr<const SafetensorsFile>> SafetensorsFile::parse(std::span<const std::byte> bytes,
                                                                      std::string name) {
  std::shared_ptr<SafetensorsFile> file(new SafetensorsFile());
  file->path_ = std::move(name);
  file->bytes_ = bytes;
  KVASIR_RETURN_IF_ERROR(file->read_header());
  return std::shared_ptr<const SafetensorsFile>(std::move(file));
}

}  // namespace kvasir::weights
