#pragma once
// Reader of GGUF v2 and v3 files (the format of ggml/docs/gguf.md), memory-mapped.
//
// Everything a file says is checked before it is believed: counts, lengths, offsets and alignments against
// the file's size; a file that lies is kCorruptData with one clear line. Immutable after open; may be read
// from any thread.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

#include "base/error.h"

namespace kvasir {
class MappedFile;
}

namespace kvasir::weights {

// Tensor types by their GGUF number. Only those that this build reads.
enum class TensorType : std::uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kBF16 = 30,
};

std::string_view name_of(TensorType type);
std::size_t elements_per_block(TensorType type);  // 1, 32 or 256
std::size_t bytes_per_block(TensorType type);

// A tensor's place in the file. Shape in GGUF order: shape[0] is the contiguous (row) dimension.
struct TensorInfo {
  std::string name;
  TensorType type = TensorType::kF32;
  std::vector<std::uint64_t> shape;  // 1 to 4 dimensions, none zero
  std::span<const std::byte> data;   // into the mapping
  std::uint64_t columns() const { return shape[0]; }
  std::uint64_t rows() const;  // product of the other dimensions
};

// Metadata arrays keep their element type; strings point into the mapping.
using MetaArray = std::variant<std::vector<std::int64_t>,  // every integer type and bool
                               std::vector<double>,        // f32, f64
                               std::vector<std::string_view>>;
using MetaValue = std::variant<std::int64_t, std::uint64_t, double, bool, std::string_view, MetaArray>;

class GgufFile {
 public:
  static Result<std::shared_ptr<const GgufFile>> open(const std::string& path);
  // For tests and fuzzing: parses bytes that the caller keeps alive.
  static Result<std::shared_ptr<const GgufFile>> parse(std::span<const std::byte> bytes, std::string name);
  ~GgufFile();

  const std::string& path() const { return path_; }
  std::span<const std::byte> bytes() const { return bytes_; }
  // Gives a tensor's pages back to the system, once it has been repacked.
  void release(const TensorInfo& tensor) const;

  const MetaValue* find(std::string_view key) const;
  // Typed look-ups: nullopt where the key is absent or of another type.
  std::optional<std::string_view> string(std::string_view key) const;
  std::optional<std::uint64_t> integer(
      std::string_view key) const;                           // also accepts non-negative signed values
  std::optional<double> number(std::string_view key) const;  // floats and integers
  std::optional<bool> boolean(std::string_view key) const;
  const std::vector<std::string_view>* strings(std::string_view key) const;
  const std::vector<std::int64_t>* integers(std::string_view key) const;
  const std::vector<double>* numbers(std::string_view key) const;
  const std::unordered_map<std::string_view, MetaValue>& metadata() const { return metadata_; }

  const TensorInfo* tensor(std::string_view name) const;
  const std::vector<TensorInfo>& tensors() const { return tensors_; }

 private:
  GgufFile() = default;
  friend class GgufParser;
  std::string path_;
  std::shared_ptr<const MappedFile> mapping_;  // null for parse()
  std::span<const std::byte> bytes_;
  std::unordered_map<std::string_view, MetaValue> metadata_;
  std::vector<TensorInfo> tensors_;
  std::unordered_map<std::string_view, std::size_t> tensor_index_;
};

}  // namespace kvasir::weights
