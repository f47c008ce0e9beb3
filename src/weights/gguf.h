#pragma once
// Reader of GGUF v2 and v3 files (the format of ggml/docs/gguf.md), memory-mapped.
//
// Everything a file says is checked before it is believed: counts, lengths, offsets and alignments against
// the file's size; a file that lies is kCorruptData with one clear line. Immutable after open; may be read
// from any thread.

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "base/error.h"
#include "weights/checkpoint.h"

namespace kvasir {
class MappedFile;
}

namespace kvasir::weights {

class GgufFile final : public Checkpoint {
 public:
  static Result<std::shared_ptr<const GgufFile>> open(const std::string& path);
  // For tests and fuzzing: parses bytes that the caller keeps alive.
  static Result<std::shared_ptr<const GgufFile>> parse(std::span<const std::byte> bytes, std::string name);
  ~GgufFile() override;

  std::span<const std::byte> bytes() const { return bytes_; }
  void release(const TensorInfo& tensor) const override;

 private:
  GgufFile() = default;
  friend class GgufParser;
  std::shared_ptr<const MappedFile> mapping_;  // null for parse()
  std::span<const std::byte> bytes_;
};

}  // namespace kvasir::weights
