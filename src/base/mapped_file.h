#pragma once
// A file mapped read-only into memory. The mapping lives as long as the object.

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "base/error.h"

namespace kvasir {

class MappedFile {
 public:
  // kNotFound for a missing file, kIo for one that cannot be opened or mapped; the path is the error's
  // subject.
  static Result<std::shared_ptr<const MappedFile>> open(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return bytes_; }
  // Gives the pages of a range back to the system (they are read again from the file when touched): keeps
  // resident memory near one copy of a model while it is repacked.
  void release(std::span<const std::byte> range) const;

 private:
  MappedFile() = default;
  std::span<const std::byte> bytes_;
};

}  // namespace kvasir
