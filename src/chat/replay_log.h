#pragma once
// The file behind a ReplayTable: append-only, checksummed records; docs/formats/replay-log.md has the bytes.
//
// Not thread-safe: one owner. One process writes, by a lock beside the file; a second one only reads.

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "base/error.h"
#include "base/file_system.h"
#include "chat/replay_table.h"

namespace kvasir::chat {

class ReplayLog {
 public:
  struct Counts {
    std::uint64_t loaded = 0;
    std::uint64_t torn = 0;
    std::uint64_t foreign = 0;
  };
  using Take = std::function<void(ReplayEntry)>;

  // Reads the whole file, oldest record first, and is ready to append. `files` outlives the log.
  static Result<std::unique_ptr<ReplayLog>> open(FileSystem& files, std::string path, const std::string& root,
                                                 const Take& take);

  // Bytes that a record of this entry takes; 0 when it is too large for one.
  static std::uint64_t record_bytes(const ReplayEntry& entry);

  // After a failure the next append writes over what the failed one has left.
  Status append(const ReplayEntry& entry);
  // Replaces the file by one that holds these entries, in this order. On failure the old one stays.
  Status compact(std::span<const std::shared_ptr<const ReplayEntry>> entries);
  // What was appended, and the name of a new file, survive a loss of power from here on.
  Status sync();

  std::uint64_t bytes() const { return end_; }
  const Counts& counts() const { return counts_; }
  bool read_only() const { return lock_ == nullptr; }

 private:
  ReplayLog(FileSystem& files, std::string path, const std::string& root);
  Status create(const std::string& path);
  Status load(const Take& take);

  FileSystem& files_;
  const std::string path_;
  std::uint64_t root_[2];
  std::unique_ptr<FileLock> lock_;
  std::unique_ptr<File> file_;
  std::uint64_t salt_ = 0;
  std::uint64_t end_ = 0;  // where the next record goes
  bool new_name_ = false;  // the folder has not been synced since the file was made
  Counts counts_;
};

}  // namespace kvasir::chat
