#pragma once
// Files in memory whose writes can be made to fail or to tear, for tests of what is kept in files.

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "base/file_system.h"

namespace kvasir::testing_support {

class MemoryFileSystem final : public FileSystem {
 public:
  using Bytes = std::shared_ptr<std::vector<std::byte>>;

  // A copy of a file's bytes; empty where there is none.
  std::vector<std::byte> contents(const std::string& path) {
    const std::lock_guard lock(mutex_);
    const auto found = files_.find(path);
    return found == files_.end() ? std::vector<std::byte>() : *found->second;
  }
  void put(const std::string& path, std::vector<std::byte> bytes) {
    const std::lock_guard lock(mutex_);
    files_[path] = std::make_shared<std::vector<std::byte>>(std::move(bytes));
  }
  // The next `count` writes store half of their bytes and fail.
  void tear_writes(int count) {
    const std::lock_guard lock(mutex_);
    torn_writes_ = count;
  }
  void fail_renames(bool fail) {
    const std::lock_guard lock(mutex_);
    fail_renames_ = fail;
  }

  Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override {
    const std::lock_guard lock(mutex_);
    const bool exists = files_.contains(path);
    if (mode != OpenMode::kCreateNew && !exists) return make_error(ErrorCode::kNotFound, "no file", path);
    if (mode == OpenMode::kCreateNew && exists) return make_error(ErrorCode::kIo, "exists", path);
    if (!exists) files_[path] = std::make_shared<std::vector<std::byte>>();
    return std::unique_ptr<File>(std::make_unique<MemoryFile>(*this, files_[path]));
  }
  Status make_folder(const std::string&) override { return {}; }
  Result<std::vector<std::string>> list(const std::string&) override { return std::vector<std::string>(); }
  Status remove(const std::string& path) override {
    const std::lock_guard lock(mutex_);
    if (files_.erase(path) == 0) return make_error(ErrorCode::kNotFound, "no file", path);
    return {};
  }
  Status rename(const std::string& from, const std::string& to) override {
    const std::lock_guard lock(mutex_);
    if (fail_renames_ || !files_.contains(from)) return make_error(ErrorCode::kIo, "rename", from);
    files_[to] = files_[from];
    files_.erase(from);
    return {};
  }
  Status sync_folder(const std::string&) override { return {}; }
  Result<std::unique_ptr<FileLock>> try_lock(const std::string& path) override {
    const std::lock_guard lock(mutex_);
    if (!locks_.insert(path).second) return std::unique_ptr<FileLock>();
    return std::unique_ptr<FileLock>(std::make_unique<MemoryLock>(*this, path));
  }
  Result<std::uint64_t> free_bytes(const std::string&) override { return std::uint64_t{1} << 40; }

 private:
  class MemoryLock final : public FileLock {
   public:
    MemoryLock(MemoryFileSystem& owner, std::string path) : owner_(owner), path_(std::move(path)) {}
    ~MemoryLock() override {
      const std::lock_guard lock(owner_.mutex_);
      owner_.locks_.erase(path_);
    }

   private:
    MemoryFileSystem& owner_;
    std::string path_;
  };

  class MemoryFile final : public File {
   public:
    MemoryFile(MemoryFileSystem& owner, Bytes bytes) : owner_(owner), bytes_(std::move(bytes)) {}
    Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> out) const override {
      const std::lock_guard lock(owner_.mutex_);
      if (offset >= bytes_->size()) return std::size_t{0};
      const std::size_t count = std::min<std::size_t>(out.size(), bytes_->size() - offset);
      std::memcpy(out.data(), bytes_->data() + offset, count);
      return count;
    }
    Status write_at(std::uint64_t offset, std::span<const std::byte> data) override {
      const std::lock_guard lock(owner_.mutex_);
      const bool torn = owner_.torn_writes_ > 0;
      if (torn) --owner_.torn_writes_;
      const std::size_t count = torn ? data.size() / 2 : data.size();
      bytes_->resize(std::max<std::size_t>(bytes_->size(), offset + count));
      std::copy_n(data.begin(), count, bytes_->begin() + static_cast<std::ptrdiff_t>(offset));
      if (torn) return make_error(ErrorCode::kResourceExhausted, "no space left");
      return {};
    }
    Status sync() override { return {}; }
    Result<std::uint64_t> size() const override {
      const std::lock_guard lock(owner_.mutex_);
      return std::uint64_t{bytes_->size()};
    }
    Result<std::uint64_t> allocated() const override { return size(); }
    Status truncate(std::uint64_t size) override {
      const std::lock_guard lock(owner_.mutex_);
      bytes_->resize(size);
      return {};
    }
    Status punch_hole(std::uint64_t, std::uint64_t) override {
      return make_error(ErrorCode::kUnsupported, "no holes");
    }
    Result<std::optional<std::uint64_t>> next_data(std::uint64_t offset) const override {
      return std::optional(offset);
    }

   private:
    MemoryFileSystem& owner_;
    Bytes bytes_;
  };

  std::mutex mutex_;
  std::map<std::string, Bytes> files_;
  std::set<std::string> locks_;
  int torn_writes_ = 0;
  bool fail_renames_ = false;
};

}  // namespace kvasir::testing_support
