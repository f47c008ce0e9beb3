#include "weights/gguf.h"

#include <bit>
#include <cstring>
#include <limits>

#include "base/mapped_file.h"

namespace kvasir::weights {
namespace {

static_assert(std::endian::native == std::endian::little, "GGUF files are read in place, little-endian");

// Value types of the metadata section.
enum class MetaType : std::uint32_t {
  kU8 = 0,
  kI8 = 1,
  kU16 = 2,
  kI16 = 3,
  kU32 = 4,
  kI32 = 5,
  kF32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kU64 = 10,
  kI64 = 11,
  kF64 = 12,
};

// Bytes of a scalar; 0 for strings, arrays and unknown types.
std::size_t scalar_bytes(MetaType type) {
  switch (type) {
    case MetaType::kU8:
    case MetaType::kI8:
    case MetaType::kBool:
      return 1;
    case MetaType::kU16:
    case MetaType::kI16:
      return 2;
    case MetaType::kU32:
    case MetaType::kI32:
    case MetaType::kF32:
      return 4;
    case MetaType::kU64:
    case MetaType::kI64:
    case MetaType::kF64:
      return 8;
    default:
      return 0;
  }
}

constexpr std::uint64_t kMaxTensors = 1U << 20;
constexpr std::uint64_t kMaxMetadata = 1U << 20;
constexpr std::uint64_t kMaxNameBytes = 1U << 16;
constexpr std::uint32_t kMaxDimensions = 4;

}  // namespace

// Walks the file front to back; every read is bounds-checked, the first failure is kept and ends the walk.
class GgufParser {
 public:
  GgufParser(std::span<const std::byte> bytes, std::string name) : file_(new GgufFile()) {
    file_->bytes_ = bytes;
    file_->path_ = std::move(name);
  }

  Result<std::shared_ptr<const GgufFile>> run(std::shared_ptr<const MappedFile> mapping) {
    file_->mapping_ = std::move(mapping);
    if (Status s = header(); !s.ok()) return s.error();
    for (std::uint64_t i = 0; i < metadata_count_; ++i) {
      if (Status s = metadata_entry(); !s.ok()) return s.error();
    }
    if (Status s = tensor_table(); !s.ok()) return s.error();
    return std::shared_ptr<const GgufFile>(std::move(file_));
  }

 private:
  Error corrupt(const std::string& what) const {
    return make_error(ErrorCode::kCorruptData, file_->path_ + ": " + what + "; is the download complete?",
                      file_->path_);
  }
  std::size_t left() const { return file_->bytes_.size() - at_; }

  template <class T>
  bool read(T& out) {
    if (left() < sizeof(T)) return false;
    std::memcpy(&out, file_->bytes_.data() + at_, sizeof(T));
    at_ += sizeof(T);
    return true;
  }

  bool read_string(std::string_view& out) {
    std::uint64_t length = 0;
    if (!read(length) || length > left()) return false;
    out = {reinterpret_cast<const char*>(file_->bytes_.data() + at_), static_cast<std::size_t>(length)};
    at_ += static_cast<std::size_t>(length);
    return true;
  }

  Status header() {
    std::uint32_t magic = 0;
    std::uint32_t version = 0;
    if (!read(magic) || magic != 0x46554747U) {
      return make_error(ErrorCode::kUnsupported,
                        file_->path_ + " is not a GGUF file (no GGUF magic at its start)", file_->path_);
    }
    if (!read(version)) return corrupt("file ends inside its header");
    if (version != 2 && version != 3) {
      return make_error(ErrorCode::kUnsupported,
                        file_->path_ + ": GGUF version " + std::to_string(version) +
                            " is not supported; versions 2 and 3 (little-endian) are",
                        file_->path_);
    }
    if (!read(tensor_count_) || !read(metadata_count_)) return corrupt("file ends inside its header");
    if (tensor_count_ > kMaxTensors || metadata_count_ > kMaxMetadata) {
      return corrupt("claims " + std::to_string(tensor_count_) + " tensors and " +
                     std::to_string(metadata_count_) + " metadata entries, which is absurd");
    }
    return {};
  }

  Status metadata_entry() {
    std::string_view key;
    std::uint32_t type = 0;
    if (!read_string(key) || !read(type)) return corrupt("file ends inside its metadata");
    MetaValue value;
    if (Status s = meta_value(static_cast<MetaType>(type), key, value); !s.ok()) return s;
    if (!file_->metadata_.emplace(key, std::move(value)).second) {
      return corrupt("metadata key '" + std::string(key) + "' occurs twice");
    }
    return {};
  }

  Status meta_value(MetaType type, std::string_view key, MetaValue& out) {
    if (type == MetaType::kString) {
      std::string_view s;
      if (!read_string(s)) return corrupt("metadata '" + std::string(key) + "' ends outside the file");
      out = s;
      return {};
    }
    if (type == MetaType::kArray) return meta_array(key, out);
    if (scalar_bytes(type) == 0) {
      return corrupt("metadata '" + std::string(key) + "' has unknown type " +
                     std::to_string(static_cast<std::uint32_t>(type)));
    }
    if (left() < scalar_bytes(type))
      return corrupt("metadata '" + std::string(key) + "' ends outside the file");
    switch (type) {
      case MetaType::kF32:
      case MetaType::kF64:
        out = read_number(type);
        break;
      case MetaType::kBool:
        out = read_integer(type) != 0;
        break;
      case MetaType::kU64: {
        std::uint64_t v = 0;
        read(v);
        out = v;
        break;
      }
      default:
        out = read_integer(type);
    }
    return {};
  }

  Status meta_array(std::string_view key, MetaValue& out) {
    std::uint32_t type_number = 0;
    std::uint64_t count = 0;
    if (!read(type_number) || !read(count))
      return corrupt("metadata '" + std::string(key) + "' ends outside the file");
    const auto type = static_cast<MetaType>(type_number);
    const std::size_t smallest = type == MetaType::kString ? sizeof(std::uint64_t) : scalar_bytes(type);
    if (smallest == 0)
      return corrupt("metadata '" + std::string(key) + "' is an array of unsupported type " +
                     std::to_string(type_number));
    if (count > left() / smallest) {
      return corrupt("metadata '" + std::string(key) + "' claims " + std::to_string(count) +
                     " elements, more than the file holds");
    }
    if (type == MetaType::kString) {
      std::vector<std::string_view> items(static_cast<std::size_t>(count));
      for (std::string_view& item : items) {
        if (!read_string(item)) return corrupt("metadata '" + std::string(key) + "' ends outside the file");
      }
      out = MetaArray(std::move(items));
    } else if (type == MetaType::kF32 || type == MetaType::kF64) {
      std::vector<double> items(static_cast<std::size_t>(count));
      for (double& item : items) item = read_number(type);
      out = MetaArray(std::move(items));
    } else {
      std::vector<std::int64_t> items(static_cast<std::size_t>(count));
      for (std::int64_t& item : items) item = read_integer(type);
      out = MetaArray(std::move(items));
    }
    return {};
  }

  // The two below are called only after the bytes were found to be there.
  template <class T>
  T take() {
    T v{};
    read(v);
    return v;
  }
  double read_number(MetaType type) {
    return type == MetaType::kF32 ? double{take<float>()} : take<double>();
  }
  std::int64_t read_integer(MetaType type) {
    switch (type) {
      case MetaType::kU8:
      case MetaType::kBool:
        return take<std::uint8_t>();
      case MetaType::kI8:
        return take<std::int8_t>();
      case MetaType::kU16:
        return take<std::uint16_t>();
      case MetaType::kI16:
        return take<std::int16_t>();
      case MetaType::kU32:
        return take<std::uint32_t>();
      case MetaType::kI32:
        return take<std::int32_t>();
      default:
        return take<std::int64_t>();
    }
  }

  Status tensor_table() {
    // A tensor's entry takes at least 24 bytes, so a lying count fails before it costs memory.
    if (tensor_count_ > left() / 24) return corrupt("claims more tensors than its size can hold");
    struct Place {
      std::uint64_t offset;
      std::uint64_t size;
    };
    std::vector<Place> places;
    file_->tensors_.reserve(static_cast<std::size_t>(tensor_count_));
    places.reserve(static_cast<std::size_t>(tensor_count_));
    for (std::uint64_t i = 0; i < tensor_count_; ++i) {
      TensorInfo info;
      Place place{};
      if (Status s = tensor_entry(info, place.offset, place.size); !s.ok()) return s;
      file_->tensors_.push_back(std::move(info));
      places.push_back(place);
    }
    const std::uint64_t alignment = file_->integer("general.alignment").value_or(32);
    if (alignment == 0 || (alignment & (alignment - 1)) != 0 || alignment > (1U << 20)) {
      return corrupt("general.alignment is " + std::to_string(alignment) + ", not a power of two");
    }
    const std::uint64_t base = (at_ + alignment - 1) / alignment * alignment;
    for (std::size_t i = 0; i < places.size(); ++i) {
      TensorInfo& info = file_->tensors_[i];
      const auto [offset, size] = places[i];
      if (base > file_->bytes_.size() || offset % alignment != 0 || offset > file_->bytes_.size() - base ||
          size > file_->bytes_.size() - base - offset) {
        return corrupt("tensor '" + info.name + "' lies outside the file (offset " + std::to_string(offset) +
                       ", " + std::to_string(size) + " bytes)");
      }
      TensorPart part;
      part.rows = info.rows();
      part.data =
          file_->bytes_.subspan(static_cast<std::size_t>(base + offset), static_cast<std::size_t>(size));
      info.parts = {part};
    }
    if (const TensorInfo* twice = file_->index_tensors()) {
      return corrupt("tensor '" + twice->name + "' occurs twice");
    }
    return {};
  }

  Status tensor_entry(TensorInfo& info, std::uint64_t& offset, std::uint64_t& size) {
    std::string_view name;
    std::uint32_t dimensions = 0;
    if (!read_string(name) || name.size() > kMaxNameBytes || !read(dimensions)) {
      return corrupt("file ends inside its tensor table");
    }
    info.name = std::string(name);
    if (dimensions == 0 || dimensions > kMaxDimensions) {
      return corrupt("tensor '" + info.name + "' has " + std::to_string(dimensions) + " dimensions");
    }
    std::uint64_t elements = 1;
    for (std::uint32_t d = 0; d < dimensions; ++d) {
      std::uint64_t extent = 0;
      if (!read(extent)) return corrupt("file ends inside its tensor table");
      if (extent == 0 || extent > std::numeric_limits<std::int64_t>::max() / elements) {
        return corrupt("tensor '" + info.name + "' has an absurd shape");
      }
      elements *= extent;
      info.shape.push_back(extent);
    }
    std::uint32_t type = 0;
    if (!read(type) || !read(offset)) return corrupt("file ends inside its tensor table");
    const std::optional<TensorType> known = gguf_type(type);
    if (!known) {
      return make_error(ErrorCode::kUnsupported,
                        file_->path_ + ": tensor '" + info.name + "' has type " + gguf_type_name(type) +
                            ", which this build cannot read (" + gguf_type_names() + " are supported)",
                        file_->path_);
    }
    info.type = *known;
    const std::size_t block = elements_per_block(*known);
    if (info.shape[0] % block != 0) {
      return corrupt("tensor '" + info.name + "' has rows of " + std::to_string(info.shape[0]) +
                     " elements, not whole blocks of " + std::string(name_of(*known)));
    }
    size = elements / block;
    if (size > std::numeric_limits<std::uint64_t>::max() / bytes_per_block(*known)) {
      return corrupt("tensor '" + info.name + "' has an absurd shape");
    }
    size *= bytes_per_block(*known);
    return {};
  }

  std::shared_ptr<GgufFile> file_;
  std::size_t at_ = 0;
  std::uint64_t tensor_count_ = 0;
  std::uint64_t metadata_count_ = 0;
};

GgufFile::~GgufFile() = default;

Result<std::shared_ptr<const GgufFile>> GgufFile::open(const std::string& path) {
  KVASIR_ASSIGN_OR_RETURN(auto mapping, MappedFile::open(path));
  const auto bytes = mapping->bytes();
  return GgufParser(bytes, path).run(std::move(mapping));
}

Result<std::shared_ptr<const GgufFile>> GgufFile::parse(std::span<const std::byte> bytes, std::string name) {
  return GgufParser(bytes, std::move(name)).run(nullptr);
}

void GgufFile::release(const TensorInfo& tensor) const {
  if (!mapping_) return;
  for (const TensorPart& p : tensor.parts) mapping_->release(p.data);
}

}  // namespace kvasir::weights
