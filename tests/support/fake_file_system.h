#pragma once
// A FileSystem in memory that loses power, runs full and fails on request, all from one seed.
//
// What base/file_system.h does not promise does not hold here either: crash() keeps of every write, hole and
// truncation since the file's last sync() all, a part (torn at any byte) or nothing, in any order, and of
// every file made, renamed or removed since its folder's last sync_folder() whatever it likes. Handles and
// locks of before a crash are dead.
//
// Every call that reaches a file or a folder counts, and any one can be made to fail. A write that fails may
// have written a part. Threads: any; one mutex guards everything.

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "base/file_system.h"

namespace kvasir {

class FakeFileSystem : public FileSystem {
 public:
  explicit FakeFileSystem(std::uint64_t seed = 1) : random_(seed) {}

  // ---- Faults ----
  void crash(std::uint64_t seed);
  // A process that dies (kill -9): handles and locks are gone, files are as they were.
  void kill();
  // The call after `calls` more fails with `code`; with `all`, every later one too.
  void fail_after(std::uint64_t calls, ErrorCode code, bool all = false);
  void heal() { fail_at_.reset(); }
  std::uint64_t calls() const { return calls_; }
  void set_space(std::uint64_t bytes) { space_ = bytes; }  // kResourceExhausted beyond
  void set_read_only(bool value) { read_only_ = value; }   // of the whole file system
  void set_punching(bool value) { punching_ = value; }
  void set_knows_holes(bool value) { knows_holes_ = value; }

  // ---- Tampering and looking ----
  std::vector<std::byte> content(const std::string& path) const;
  void set_content(const std::string& path, std::vector<std::byte> bytes);
  void flip_bit(const std::string& path, std::uint64_t bit);
  std::vector<std::string> paths() const;
  // Space that the files whose paths begin so take, holes left out.
  std::uint64_t allocated(const std::string& prefix) const;
  std::uint64_t written_bytes() const { return written_bytes_; }

  // ---- FileSystem ----
  Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override;
  Status make_folder(const std::string& path) override;
  Result<std::vector<std::string>> list(const std::string& folder) override;
  Status remove(const std::string& path) override;
  Status rename(const std::string& from, const std::string& to) override;
  Status sync_folder(const std::string& folder) override;
  Result<std::unique_ptr<FileLock>> try_lock(const std::string& path) override;
  Result<std::uint64_t> free_bytes(const std::string& path) override;

 private:
  friend class FakeFile;
  friend class FakeLock;
  static constexpr std::uint64_t kPage = 4096;

  struct Change {
    enum class Kind { kWrite, kTruncate, kPunch } kind = Kind::kWrite;
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
    std::vector<std::byte> data;
  };
  struct Content {
    std::vector<std::byte> bytes;
    std::set<std::uint64_t> pages;  // that take space
    void apply(const Change& change);
  };
  struct Node {
    Content now;
    Content durable;
    std::vector<Change> pending;
    void change(Change change);
  };
  using Names = std::map<std::string, std::shared_ptr<Node>>;
  struct NameChange {
    std::string from;  // removed; may be empty
    std::string to;    // made; may be empty
    std::shared_ptr<Node> node;
    void apply(Names& names) const;
  };

  std::optional<Error> fault(const std::string& path, bool writes);
  std::uint64_t used() const;
  std::size_t pick(std::size_t count) {
    return std::uniform_int_distribution<std::size_t>(0, count - 1)(random_);
  }
  void name(NameChange change);
  void settle(Node& node);

  mutable std::mutex mutex_;
  std::mt19937_64 random_;
  std::set<std::string> folders_;
  Names names_;
  Names durable_names_;
  std::vector<NameChange> pending_names_;
  std::set<std::string> locks_;
  std::uint64_t epoch_ = 0;
  std::uint64_t calls_ = 0;
  std::optional<std::uint64_t> fail_at_;
  bool fail_all_ = false;
  ErrorCode fail_code_ = ErrorCode::kIo;
  std::uint64_t space_ = ~std::uint64_t{0};
  std::uint64_t written_bytes_ = 0;
  bool read_only_ = false;
  bool punching_ = true;
  bool knows_holes_ = true;
};

}  // namespace kvasir
