#pragma once
// Reader of safetensors files (huggingface/safetensors, "Format"), memory-mapped: an 8-byte length, a JSON
// header of names, element types, shapes and places, then the bytes.
//
// Everything that a file says is checked before it is believed; a file that lies is kCorruptData with one
// clear line. Immutable after it is opened; may be read from any thread.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/mapped_file.h"

namespace kvasir::weights {

// Element types by the format's own names.
enum class Element : std::uint8_t {
  kF64,
  kF32,
  kF16,
  kBF16,
  kF8E4M3,
  kF8E5M2,
  kI64,
  kI32,
  kU32,
  kI16,
  kI8,
  kU8,
  kBool
};

std::string_view name_of(Element element);  // "BF16"
std::size_t bytes_of(Element element);

struct SafeTensor {
  std::string name;
  Element element = Element::kF32;
  std::vector<std::uint64_t> shape;  // row-major: the last is contiguous; empty for a single number
  std::span<const std::byte> data;   // into the file
  std::uint64_t count() const;       // elements
};

class SafetensorsFile {
 public:
  static Result<std::shared_ptr<const SafetensorsFile>> open(const std::string& path);
  // For tests and fuzzing: parses bytes that the caller keeps alive.
  static Result<std::shared_ptr<const SafetensorsFile>> parse(std::span<const std::byte> bytes,
                                                              std::string name);

  const std::string& path() const { return path_; }
  std::span<const std::byte> bytes() const { return bytes_; }
  const std::vector<SafeTensor>& tensors() const { return tensors_; }  // in the header's order
  // Gives the pages of a range of this file back to the system.
  void release(std::span<const std::byte> range) const {
    if (mapping_) mapping_->release(range);
  }

 private:
  SafetensorsFile() = default;
  Status read_header();
  Error corrupt(const std::string& what) const;

  std::string path_;
  std::shared_ptr<const MappedFile> mapping_;  // null for parse()
  std::span<const std::byte> bytes_;
  std::vector<SafeTensor> tensors_;
};

}  // namespace kvasir::weights
