#include "base/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>

namespace kvasir {

Result<std::shared_ptr<const MappedFile>> MappedFile::open(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    const int error = errno;
    return make_error(error == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo,
                      "cannot open " + path + ": " + std::strerror(error), path);
  }
  struct stat info{};
  if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    ::close(fd);
    return make_error(ErrorCode::kIo, path + " is not a regular file", path);
  }
  std::shared_ptr<MappedFile> file(new MappedFile());
  const auto size = static_cast<std::size_t>(info.st_size);
  if (size > 0) {
    void* address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (address == MAP_FAILED) {
      const int error = errno;
      ::close(fd);
      return make_error(ErrorCode::kIo, "cannot map " + path + ": " + std::strerror(error), path);
    }
    file->bytes_ = {static_cast<const std::byte*>(address), size};
  }
  ::close(fd);
  return std::shared_ptr<const MappedFile>(std::move(file));
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

void MappedFile::release(std::span<const std::byte> range) const {
  // A touched page maps its cached neighbours too, 64 KB of them on Linux: released with it, or small tensors
  // would map most of their file again. What is still wanted there is mapped again when it is touched.
  constexpr std::size_t kAround = 64 << 10;
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto at = static_cast<std::size_t>(range.data() - bytes_.data());
  const std::size_t from = at - std::min(at, kAround);
  const std::size_t to = std::min(bytes_.size(), at + range.size() + kAround);
  const auto begin = (reinterpret_cast<std::uintptr_t>(bytes_.data() + from) + page - 1) / page * page;
  const auto end = reinterpret_cast<std::uintptr_t>(bytes_.data() + to) / page * page;
  // A refusal costs memory only, never correctness, so its result is not checked.
  if (end > begin) (void)::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

}  // namespace kvasir
