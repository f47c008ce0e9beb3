#pragma once
// The files that data is kept in, behind a seam: everything that must survive a crash goes through it, so
// that tests can tear, reorder and fail every single call (tests/support/fake_file_system.h).
//
// Promises are those of POSIX and no more: what was written is seen by later reads of this process at once,
// is in the operating system's hands when write_at() returns (it survives this process), and survives a loss
// of power only once sync() has returned; before that any part of it may be there, in any order. A new or
// renamed file survives a loss of power once sync_folder() of its folder has returned.
//
// Threads: every member may be called from any thread; reads and writes of one file at once are the caller's
// to keep apart where they overlap. Errors: kNotFound, kIo, kResourceExhausted (no space left), kUnsupported;
// the path is the error's subject.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace kvasir {

class File {
 public:
  virtual ~File() = default;
  // Reads from `offset` until `out` is full or the file ends; returns the bytes read.
  virtual Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> out) const = 0;
  // Writes all of `data`, or fails: then any part of it may have been written.
  virtual Status write_at(std::uint64_t offset, std::span<const std::byte> data) = 0;
  virtual Status sync() = 0;
  virtual Result<std::uint64_t> size() const = 0;
  // Bytes of space that the file takes, holes left out.
  virtual Result<std::uint64_t> allocated() const = 0;
  virtual Status truncate(std::uint64_t size) = 0;
  // Gives the space of a range back; it reads as zeros from then on. Offset and length are multiples of 4096.
  // kUnsupported where the file system cannot.
  virtual Status punch_hole(std::uint64_t offset, std::uint64_t length) = 0;
  // The first byte at or behind `offset` that is not in a hole, as far as the file system knows; nullopt when
  // there is none before the end.
  virtual Result<std::optional<std::uint64_t>> next_data(std::uint64_t offset) const = 0;
};

// Held by one process at a time; let go when the object dies or the process does.
class FileLock {
 public:
  virtual ~FileLock() = default;
};

enum class OpenMode {
  kRead,       // an existing file, not to be written
  kReadWrite,  // an existing file
  kCreateNew,  // a new file, mode 0600; an existing one is an error
};

class FileSystem {
 public:
  virtual ~FileSystem() = default;
  virtual Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) = 0;
  // The folder and those above it that are missing, mode 0700. An existing folder is left as it is.
  virtual Status make_folder(const std::string& path) = 0;
  // Names (not paths) of the plain files in a folder, sorted.
  virtual Result<std::vector<std::string>> list(const std::string& folder) = 0;
  virtual Status remove(const std::string& path) = 0;
  virtual Status rename(const std::string& from, const std::string& to) = 0;
  virtual Status sync_folder(const std::string& folder) = 0;
  // nullptr when another process (or another lock of this one) holds it. Creates the file where it is
  // missing.
  virtual Result<std::unique_ptr<FileLock>> try_lock(const std::string& path) = 0;
  // Bytes that this process may still write on the file system that holds `path`.
  virtual Result<std::uint64_t> free_bytes(const std::string& path) = 0;
};

// The operating system's.
FileSystem& system_files();

inline std::string path_in(std::string folder, std::string_view name) {
  return folder.append("/").append(name);
}

}  // namespace kvasir
