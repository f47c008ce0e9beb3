#include "weights/gguf_writer.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <limits>

#include "base/check.h"
#include "weights/blocks.h"

namespace kvasir::weights {
namespace {

constexpr std::uint32_t kVersion = 3;
constexpr std::uint64_t kAlignment = 32;

enum class Stored : std::uint32_t {
  kU32 = 4,
  kI32 = 5,
  kF32 = 6,
  kBool = 7,
  kText = 8,
  kArray = 9,
  kU64 = 10,
  kI64 = 11
};

template <class T>
void put(std::string& out, T value) {
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  out.append(bytes, sizeof(T));
}

void put_text(std::string& out, std::string_view text) {
  put(out, std::uint64_t{text.size()});
  out += text;
}

std::string typed(Stored type) {
  std::string out;
  put(out, static_cast<std::uint32_t>(type));
  return out;
}

template <class T>
std::string array_of(Stored type, std::span<const T> values) {
  std::string out = typed(Stored::kArray);
  put(out, static_cast<std::uint32_t>(type));
  put(out, std::uint64_t{values.size()});
  for (const T& v : values) put(out, v);
  return out;
}

std::uint64_t padded(std::uint64_t at) {
  return (at + kAlignment - 1) / kAlignment * kAlignment;
}

// Walks over the metadata of a file whose parser has believed it.
class RawMetadata {
 public:
  explicit RawMetadata(std::span<const std::byte> bytes) : p_(bytes.data()) {
    at_ = 8;
    take<std::uint64_t>();  // tensors
    count_ = take<std::uint64_t>();
  }
  template <class F>
  void each(const F& f) {
    for (std::uint64_t i = 0; i < count_; ++i) {
      const std::string_view key = text();
      const std::size_t from = at_;
      skip(take<std::uint32_t>());
      f(key, std::string_view(reinterpret_cast<const char*>(p_) + from, at_ - from));
    }
  }

 private:
  template <class T>
  T take() {
    const T value = read_at<T>(p_, at_);
    at_ += sizeof(T);
    return value;
  }
  std::string_view text() {
    const auto size = static_cast<std::size_t>(take<std::uint64_t>());
    const std::string_view t(reinterpret_cast<const char*>(p_) + at_, size);
    at_ += size;
    return t;
  }
  void skip(std::uint32_t type) {
    constexpr std::array<std::size_t, 13> kSizes = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    if (type == static_cast<std::uint32_t>(Stored::kText)) {
      text();
    } else if (type == static_cast<std::uint32_t>(Stored::kArray)) {
      const auto element = take<std::uint32_t>();
      const auto n = take<std::uint64_t>();
      for (std::uint64_t i = 0; i < n; ++i) skip(element);
    } else {
      at_ += kSizes.at(type);
    }
  }
  const std::byte* p_;
  std::size_t at_ = 0;
  std::uint64_t count_ = 0;
};

}  // namespace

GgufWriter::~GgufWriter() {
  if (!out_) return;
  out_.reset();
  std::error_code ignored;
  std::filesystem::remove(path_ + ".part", ignored);
}

void GgufWriter::set_encoded(const std::string& key, std::string value) {
  const auto found = std::ranges::find(metadata_, key, &std::pair<std::string, std::string>::first);
  if (found != metadata_.end())
    found->second = std::move(value);
  else
    metadata_.emplace_back(key, std::move(value));
}

void GgufWriter::remove(const std::string& key) {
  std::erase_if(metadata_, [&](const auto& entry) { return entry.first == key; });
}

void GgufWriter::set_u32(const std::string& key, std::uint32_t value) {
  std::string out = typed(Stored::kU32);
  put(out, value);
  set_encoded(key, std::move(out));
}
void GgufWriter::set_f32(const std::string& key, float value) {
  std::string out = typed(Stored::kF32);
  put(out, value);
  set_encoded(key, std::move(out));
}
void GgufWriter::set_bool(const std::string& key, bool value) {
  std::string out = typed(Stored::kBool);
  put(out, static_cast<std::uint8_t>(value));
  set_encoded(key, std::move(out));
}
void GgufWriter::set_text(const std::string& key, std::string_view value) {
  std::string out = typed(Stored::kText);
  put_text(out, value);
  set_encoded(key, std::move(out));
}
void GgufWriter::set_texts(const std::string& key, std::span<const std::string> values) {
  std::string out = typed(Stored::kArray);
  put(out, static_cast<std::uint32_t>(Stored::kText));
  put(out, std::uint64_t{values.size()});
  for (const std::string& v : values) put_text(out, v);
  set_encoded(key, std::move(out));
}
void GgufWriter::set_i32s(const std::string& key, std::span<const std::int32_t> values) {
  set_encoded(key, array_of(Stored::kI32, values));
}
void GgufWriter::set_f32s(const std::string& key, std::span<const float> values) {
  set_encoded(key, array_of(Stored::kF32, values));
}

void GgufWriter::set_value(const std::string& key, const MetaValue& value) {
  constexpr std::uint64_t kMost32 = std::numeric_limits<std::uint32_t>::max();
  if (const auto* b = std::get_if<bool>(&value)) return set_bool(key, *b);
  if (const auto* d = std::get_if<double>(&value)) return set_f32(key, static_cast<float>(*d));
  if (const auto* t = std::get_if<std::string_view>(&value)) return set_text(key, *t);
  const auto* i = std::get_if<std::int64_t>(&value);
  const auto* u = std::get_if<std::uint64_t>(&value);
  if (u != nullptr || i != nullptr) {
    const bool negative = i != nullptr && *i < 0;
    const std::uint64_t magnitude = u != nullptr ? *u : static_cast<std::uint64_t>(*i);
    if (!negative && magnitude <= kMost32) return set_u32(key, static_cast<std::uint32_t>(magnitude));
    std::string out = typed(negative ? Stored::kI64 : Stored::kU64);
    put(out, magnitude);
    return set_encoded(key, std::move(out));
  }
  const MetaArray& array = std::get<MetaArray>(value);
  if (const auto* ints = std::get_if<std::vector<std::int64_t>>(&array)) {
    return set_i32s(key, std::vector<std::int32_t>(ints->begin(), ints->end()));
  }
  if (const auto* floats = std::get_if<std::vector<double>>(&array)) {
    return set_f32s(key, std::vector<float>(floats->begin(), floats->end()));
  }
  const auto& texts = std::get<std::vector<std::string_view>>(array);
  set_texts(key, std::vector<std::string>(texts.begin(), texts.end()));
}

void GgufWriter::copy_metadata(const GgufFile& file, const std::function<bool(std::string_view)>& skip) {
  RawMetadata(file.bytes()).each([&](std::string_view key, std::string_view value) {
    if (!skip(key)) set_encoded(std::string(key), std::string(value));
  });
}

void GgufWriter::add_tensor(std::string name, TensorType type, std::vector<std::uint64_t> shape) {
  Tensor t{std::move(name), type, std::move(shape), 0};
  t.bytes = t.shape[0] / elements_per_block(type) * bytes_per_block(type);
  for (std::size_t i = 1; i < t.shape.size(); ++i) t.bytes *= t.shape[i];
  tensors_.push_back(std::move(t));
}

std::string GgufWriter::header() const {
  std::string out = "GGUF";
  put(out, kVersion);
  put(out, std::uint64_t{tensors_.size()});
  put(out, std::uint64_t{metadata_.size()});
  for (const auto& [key, value] : metadata_) {
    put_text(out, key);
    out += value;
  }
  std::uint64_t offset = 0;
  for (const Tensor& t : tensors_) {
    put_text(out, t.name);
    put(out, static_cast<std::uint32_t>(t.shape.size()));
    for (const std::uint64_t n : t.shape) put(out, n);
    put(out, static_cast<std::uint32_t>(t.type));
    put(out, offset);
    offset = padded(offset + t.bytes);
  }
  return out;
}

Status GgufWriter::begin() {
  remove("general.alignment");  // 32 is what is meant where none is named
  std::error_code ignored;
  std::filesystem::remove(path_ + ".part", ignored);
  KVASIR_ASSIGN_OR_RETURN(out_, system_files().open(path_ + ".part", OpenMode::kCreateNew));
  const std::string head = header();
  KVASIR_RETURN_IF_ERROR(out_->write_at(0, std::as_bytes(std::span(head))));
  at_ = head.size();
  return pad();
}

Status GgufWriter::pad() {
  constexpr std::array<std::byte, kAlignment> kZeros{};
  const auto n = static_cast<std::size_t>(padded(at_) - at_);
  KVASIR_RETURN_IF_ERROR(out_->write_at(at_, std::span(kZeros).first(n)));
  at_ += n;
  return {};
}

Status GgufWriter::write(std::span<const std::byte> bytes) {
  KVASIR_CHECK(tensor_ < tensors_.size(), "only tensors that were added are written");
  KVASIR_RETURN_IF_ERROR(out_->write_at(at_, bytes));
  at_ += bytes.size();
  tensor_bytes_ += bytes.size();
  KVASIR_CHECK(tensor_bytes_ <= tensors_[tensor_].bytes, "a tensor has the bytes of its type and shape");
  if (tensor_bytes_ < tensors_[tensor_].bytes) return {};
  ++tensor_;
  tensor_bytes_ = 0;
  return pad();
}

Status GgufWriter::finish() {
  KVASIR_CHECK(tensor_ == tensors_.size(), "every tensor that was added is written");
  KVASIR_RETURN_IF_ERROR(out_->sync());
  out_.reset();
  std::error_code failed;
  using std::filesystem::perms;
  std::filesystem::permissions(
      path_ + ".part", perms::owner_read | perms::owner_write | perms::group_read | perms::others_read,
      failed);
  return system_files().rename(path_ + ".part", path_);
}

}  // namespace kvasir::weights
