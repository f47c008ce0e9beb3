#include "base/file_system.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

namespace kvasir {
namespace {

Error os_error(const char* what, const std::string& path, int error) {
  ErrorCode code = ErrorCode::kIo;
  if (error == ENOENT) code = ErrorCode::kNotFound;
  if (error == ENOSPC || error == EDQUOT || error == EFBIG) code = ErrorCode::kResourceExhausted;
  return make_error(code, std::string("cannot ") + what + ' ' + path + ": " + std::strerror(error), path);
}

// Calls `call` again as long as a signal interrupts it.
template <class Call>
auto uninterrupted(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  bool ok() const { return fd_ >= 0; }

 private:
  int fd_;
};

int sync_data(int fd) {
#if defined(__APPLE__)
  // fsync() leaves the data in the drive's cache there.
  return ::fcntl(fd, F_FULLFSYNC);
#else
  return ::fdatasync(fd);
#endif
}

int punch(int fd, std::uint64_t offset, std::uint64_t length) {
#if defined(__linux__)
  return ::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                     static_cast<off_t>(length));
#elif defined(F_PUNCHHOLE)
  fpunchhole_t range{};
  range.fp_offset = static_cast<off_t>(offset);
  range.fp_length = static_cast<off_t>(length);
  return ::fcntl(fd, F_PUNCHHOLE, &range);
#else
  (void)fd, (void)offset, (void)length;
  errno = EOPNOTSUPP;
  return -1;
#endif
}

class PosixFile : public File {
 public:
  PosixFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}

  Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> out) const override {
    std::size_t done = 0;
    while (done < out.size()) {
      const auto rest = out.subspan(done);
      const auto got = uninterrupted(
          [&] { return ::pread(fd_.get(), rest.data(), rest.size(), static_cast<off_t>(offset + done)); });
      if (got < 0) return os_error("read", path_, errno);
      if (got == 0) break;
      done += static_cast<std::size_t>(got);
    }
    return done;
  }

  Status write_at(std::uint64_t offset, std::span<const std::byte> data) override {
    while (!data.empty()) {
      const auto put = uninterrupted(
          [&] { return ::pwrite(fd_.get(), data.data(), data.size(), static_cast<off_t>(offset)); });
      if (put < 0) return os_error("write", path_, errno);
      if (put == 0) return os_error("write", path_, ENOSPC);
      offset += static_cast<std::uint64_t>(put);
      data = data.subspan(static_cast<std::size_t>(put));
    }
    return {};
  }

  Status sync() override {
    if (uninterrupted([&] { return sync_data(fd_.get()); }) != 0) return os_error("sync", path_, errno);
    return {};
  }

  Result<std::uint64_t> size() const override {
    struct stat info{};
    if (::fstat(fd_.get(), &info) != 0) return os_error("look at", path_, errno);
    return static_cast<std::uint64_t>(info.st_size);
  }

  Result<std::uint64_t> allocated() const override {
    struct stat info{};
    if (::fstat(fd_.get(), &info) != 0) return os_error("look at", path_, errno);
    return static_cast<std::uint64_t>(info.st_blocks) * 512;
  }

  Status truncate(std::uint64_t size) override {
    if (uninterrupted([&] { return ::ftruncate(fd_.get(), static_cast<off_t>(size)); }) != 0) {
      return os_error("truncate", path_, errno);
    }
    return {};
  }

  Status punch_hole(std::uint64_t offset, std::uint64_t length) override {
    if (uninterrupted([&] { return punch(fd_.get(), offset, length); }) == 0) return {};
    const int error = errno;
    if (error == EOPNOTSUPP || error == ENOTSUP || error == ENOSYS || error == EINVAL) {
      return make_error(ErrorCode::kUnsupported, "the file system of " + path_ + " cannot punch holes",
                        path_);
    }
    return os_error("punch a hole into", path_, error);
  }

  Result<std::optional<std::uint64_t>> next_data(std::uint64_t offset) const override {
#if defined(SEEK_DATA)
    const off_t found = ::lseek(fd_.get(), static_cast<off_t>(offset), SEEK_DATA);
    if (found >= 0) return std::optional(static_cast<std::uint64_t>(found));
    if (errno == ENXIO) return std::optional<std::uint64_t>();
    if (errno != EINVAL) return os_error("look through", path_, errno);
#endif
    // A file system that knows no holes: everything before the end is data.
    KVASIR_ASSIGN_OR_RETURN(const auto end, size());
    return offset < end ? std::optional(offset) : std::nullopt;
  }

 private:
  Descriptor fd_;
  std::string path_;
};

// flock() belongs to the open file description, so a second lock of this very process is refused too, and a
// process that dies lets go.
class PosixLock : public FileLock {
 public:
  explicit PosixLock(int fd) : fd_(fd) {}

 private:
  Descriptor fd_;
};

class PosixFileSystem : public FileSystem {
 public:
  Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override {
    int flags = O_CLOEXEC | (mode == OpenMode::kRead ? O_RDONLY : O_RDWR);
    if (mode == OpenMode::kCreateNew) flags |= O_CREAT | O_EXCL;
    const int fd = uninterrupted([&] { return ::open(path.c_str(), flags, 0600); });
    if (fd < 0) return os_error("open", path, errno);
    auto file = std::make_unique<PosixFile>(fd, path);
    struct stat info{};
    if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
      return make_error(ErrorCode::kIo, path + " is not a regular file", path);
    }
    return std::unique_ptr<File>(std::move(file));
  }

  Status make_folder(const std::string& path) override {
    for (std::size_t end = 1; end <= path.size(); ++end) {
      if (end < path.size() && path[end] != '/') continue;
      const std::string part = path.substr(0, end);
      if (::mkdir(part.c_str(), 0700) == 0 || errno == EEXIST) continue;
      // Some systems refuse before they see that the folder exists (a read-only or automounted parent).
      const int error = errno;
      struct stat info{};
      if (::stat(part.c_str(), &info) != 0 || !S_ISDIR(info.st_mode)) {
        return os_error("make the folder", part, error);
      }
    }
    struct stat info{};
    if (::stat(path.c_str(), &info) != 0) return os_error("look at", path, errno);
    if (!S_ISDIR(info.st_mode)) return os_error("make the folder", path, ENOTDIR);
    return {};
  }

  Result<std::vector<std::string>> list(const std::string& folder) override {
    DIR* open_folder = ::opendir(folder.c_str());
    if (open_folder == nullptr) return os_error("list", folder, errno);
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* entry = ::readdir(open_folder)) {
      struct stat info{};
      if (::stat(path_in(folder, entry->d_name).c_str(), &info) == 0 && S_ISREG(info.st_mode))
        names.emplace_back(entry->d_name);
      errno = 0;
    }
    const int error = errno;
    ::closedir(open_folder);
    if (error != 0) return os_error("list", folder, error);
    std::ranges::sort(names);
    return names;
  }

  Status remove(const std::string& path) override {
    if (::unlink(path.c_str()) != 0) return os_error("remove", path, errno);
    return {};
  }

  Status rename(const std::string& from, const std::string& to) override {
    if (std::rename(from.c_str(), to.c_str()) != 0) return os_error("rename", from, errno);
    return {};
  }

  Status sync_folder(const std::string& folder) override {
    const Descriptor fd(::open(folder.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECTORY));
    if (!fd.ok() || uninterrupted([&] { return ::fsync(fd.get()); }) != 0) {
      return os_error("sync the folder", folder, errno);
    }
    return {};
  }

  Result<std::unique_ptr<FileLock>> try_lock(const std::string& path) override {
    const int fd = uninterrupted([&] { return ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600); });
    if (fd < 0) return os_error("open", path, errno);
    auto lock = std::make_unique<PosixLock>(fd);
    if (uninterrupted([&] { return ::flock(fd, LOCK_EX | LOCK_NB); }) != 0) {
      if (errno == EWOULDBLOCK) return std::unique_ptr<FileLock>();
      return os_error("lock", path, errno);
    }
    return std::unique_ptr<FileLock>(std::move(lock));
  }

  Result<std::uint64_t> free_bytes(const std::string& path) override {
    struct statvfs info{};
    if (::statvfs(path.c_str(), &info) != 0) return os_error("look at", path, errno);
    return static_cast<std::uint64_t>(info.f_bavail) * info.f_frsize;
  }
};

}  // namespace

FileSystem& system_files() {
  static PosixFileSystem files;
  return files;
}

}  // namespace kvasir
