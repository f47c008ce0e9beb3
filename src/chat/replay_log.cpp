#include "chat/replay_log.h"

#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <random>
#include <vector>

namespace kvasir::chat {
namespace {

static_assert(std::endian::native == std::endian::little,
              "the format is little-endian and written as it lies");

constexpr char kFileMagic[8] = {'K', 'V', 'R', 'E', 'P', 'L', 'A', 'Y'};
constexpr char kRecordMagic[4] = {'R', 'P', 'L', '1'};
constexpr std::uint32_t kVersion = 1;
constexpr std::uint64_t kAlignment = 8;
constexpr std::uint32_t kKeyBytesMax = 1U << 20;
constexpr std::uint32_t kTokensMax = 1U << 18;

struct FileHeader {
  char magic[8];
  std::uint32_t version;
  std::uint32_t zero;
  std::uint64_t salt;
  std::uint64_t checksum;
};
static_assert(sizeof(FileHeader) == 32);

struct RecordHeader {
  char magic[4];
  std::uint32_t key_bytes;
  std::uint32_t tokens;
  std::uint32_t zero;
  std::uint64_t root[2];
  std::uint64_t checksum;
};
static_assert(sizeof(RecordHeader) == 40);
constexpr std::size_t kCheckedFrom = 4;   // of the header: behind the magic
constexpr std::size_t kCheckedHead = 28;  // bytes of it

std::uint64_t aligned(std::uint64_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

std::uint64_t record_size(std::uint64_t key_bytes, std::uint64_t tokens) {
  return aligned(sizeof(RecordHeader) + key_bytes + tokens * sizeof(TokenId));
}

std::uint64_t header_checksum(const FileHeader& header) {
  return XXH3_64bits(&header, offsetof(FileHeader, checksum));
}

// `record` is whole, padding included.
std::uint64_t record_checksum(std::span<const std::byte> record, std::uint64_t seed) {
  const std::uint64_t head = XXH3_64bits_withSeed(record.data() + kCheckedFrom, kCheckedHead, seed);
  return XXH3_64bits_withSeed(record.data() + sizeof(RecordHeader), record.size() - sizeof(RecordHeader),
                              head);
}

std::vector<std::byte> encode(const ReplayEntry& entry, const std::uint64_t (&root)[2], std::uint64_t seed) {
  std::vector<std::byte> record(record_size(entry.key.size(), entry.tokens.size()));
  RecordHeader header{};
  std::memcpy(header.magic, kRecordMagic, sizeof(kRecordMagic));
  header.key_bytes = static_cast<std::uint32_t>(entry.key.size());
  header.tokens = static_cast<std::uint32_t>(entry.tokens.size());
  header.root[0] = root[0];
  header.root[1] = root[1];
  std::memcpy(record.data(), &header, sizeof(header));
  std::byte* payload = record.data() + sizeof(header);
  std::memcpy(payload, entry.key.data(), entry.key.size());
  std::memcpy(payload + entry.key.size(), entry.tokens.data(), entry.tokens.size() * sizeof(TokenId));
  header.checksum = record_checksum(record, seed);
  std::memcpy(record.data(), &header, sizeof(header));
  return record;
}

// Reads a file front to back through a buffer that holds at least the range asked for.
class Window {
 public:
  Window(const File& file, std::uint64_t size) : file_(file), size_(size) {}
  std::uint64_t size() const { return size_; }

  // [offset, offset + length), valid until the next call; the range lies inside the file.
  Result<std::span<const std::byte>> at(std::uint64_t offset, std::uint64_t length) {
    if (offset < begin_ || offset + length > begin_ + buffer_.size()) {
      constexpr std::uint64_t kWindow = std::uint64_t{1} << 20;
      buffer_.resize(std::min(std::max(length, kWindow), size_ - offset));
      begin_ = offset;
      KVASIR_ASSIGN_OR_RETURN(const std::size_t read, file_.read_at(offset, buffer_));
      if (read != buffer_.size()) {
        buffer_.clear();
        return make_error(ErrorCode::kIo, "the replay log became shorter while it was read");
      }
    }
    return std::span<const std::byte>(buffer_).subspan(offset - begin_, length);
  }

 private:
  const File& file_;
  const std::uint64_t size_;
  std::uint64_t begin_ = 0;
  std::vector<std::byte> buffer_;
};

// The record at `offset`, or an empty span where none holds.
Result<std::span<const std::byte>> record_at(Window& window, std::uint64_t offset, std::uint64_t salt) {
  const std::span<const std::byte> none;
  if (offset + sizeof(RecordHeader) > window.size()) return none;
  KVASIR_ASSIGN_OR_RETURN(const auto head, window.at(offset, sizeof(RecordHeader)));
  RecordHeader header{};
  std::memcpy(&header, head.data(), sizeof(header));
  if (std::memcmp(header.magic, kRecordMagic, sizeof(kRecordMagic)) != 0) return none;
  if (header.key_bytes > kKeyBytesMax || header.tokens == 0 || header.tokens > kTokensMax) return none;
  const std::uint64_t size = record_size(header.key_bytes, header.tokens);
  if (offset + size > window.size()) return none;
  KVASIR_ASSIGN_OR_RETURN(const auto record, window.at(offset, size));
  return record_checksum(record, salt + offset) == header.checksum ? record : none;
}

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

ReplayLog::ReplayLog(FileSystem& files, std::string path, const std::string& root)
    : files_(files), path_(std::move(path)) {
  const XXH128_hash_t hash = XXH3_128bits(root.data(), root.size());
  root_[0] = hash.low64;
  root_[1] = hash.high64;
}

std::uint64_t ReplayLog::record_bytes(const ReplayEntry& entry) {
  const bool fits =
      entry.key.size() <= kKeyBytesMax && !entry.tokens.empty() && entry.tokens.size() <= kTokensMax;
  return fits ? record_size(entry.key.size(), entry.tokens.size()) : 0;
}

Result<std::unique_ptr<ReplayLog>> ReplayLog::open(FileSystem& files, std::string path,
                                                   const std::string& root, const Take& take) {
  auto log = std::unique_ptr<ReplayLog>(new ReplayLog(files, std::move(path), root));
  KVASIR_ASSIGN_OR_RETURN(log->lock_, files.try_lock(log->path_ + ".lock"));
  auto file = files.open(log->path_, log->read_only() ? OpenMode::kRead : OpenMode::kReadWrite);
  if (file.ok()) {
    log->file_ = std::move(*file);
    KVASIR_RETURN_IF_ERROR(log->load(take));
    return log;
  }
  if (file.error().code != ErrorCode::kNotFound) return file.error();
  if (!log->read_only()) KVASIR_RETURN_IF_ERROR(log->create(log->path_));
  return log;
}

Status ReplayLog::create(const std::string& path) {
  KVASIR_ASSIGN_OR_RETURN(auto file, files_.open(path, OpenMode::kCreateNew));
  FileHeader header{};
  std::memcpy(header.magic, kFileMagic, sizeof(kFileMagic));
  header.version = kVersion;
  std::random_device random;
  header.salt = (std::uint64_t{random()} << 32U) | random();
  header.checksum = header_checksum(header);
  KVASIR_RETURN_IF_ERROR(file->write_at(0, std::as_bytes(std::span(&header, 1))));
  file_ = std::move(file);
  salt_ = header.salt;
  end_ = sizeof(header);
  new_name_ = true;
  return {};
}

Status ReplayLog::load(const Take& take) {
  KVASIR_ASSIGN_OR_RETURN(const std::uint64_t size, file_->size());
  Window window(*file_, size);
  FileHeader header{};
  if (size >= sizeof(header)) {
    KVASIR_ASSIGN_OR_RETURN(const auto bytes, window.at(0, sizeof(header)));
    std::memcpy(&header, bytes.data(), sizeof(header));
  }
  const bool known = std::memcmp(header.magic, kFileMagic, sizeof(kFileMagic)) == 0 &&
                     header.version == kVersion && header.checksum == header_checksum(header);
  if (!known) {
    ++counts_.torn;
    if (read_only()) return {};
    file_.reset();
    KVASIR_RETURN_IF_ERROR(files_.remove(path_));
    return create(path_);
  }
  salt_ = header.salt;
  end_ = sizeof(header);
  bool damaged = false;
  for (std::uint64_t offset = end_; offset < size;) {
    KVASIR_ASSIGN_OR_RETURN(const auto record, record_at(window, offset, salt_));
    if (record.empty()) {
      counts_.torn += damaged ? 0 : 1;
      damaged = true;
      offset += kAlignment;
      continue;
    }
    damaged = false;
    RecordHeader head{};
    std::memcpy(&head, record.data(), sizeof(head));
    offset += record.size();
    end_ = offset;
    if (head.root[0] != root_[0] || head.root[1] != root_[1]) {
      ++counts_.foreign;
      continue;
    }
    ++counts_.loaded;
    const std::byte* payload = record.data() + sizeof(head);
    ReplayEntry entry{{reinterpret_cast<const char*>(payload), head.key_bytes},
                      std::vector<TokenId>(head.tokens)};
    std::memcpy(entry.tokens.data(), payload + head.key_bytes, head.tokens * sizeof(TokenId));
    take(std::move(entry));
  }
  // What is behind the last whole record is of no use; where it cannot be cut off it is written over.
  if (!read_only() && end_ < size) (void)file_->truncate(end_);
  return {};
}

Status ReplayLog::append(const ReplayEntry& entry) {
  if (read_only()) return make_error(ErrorCode::kUnsupported, "the replay log is read only here", path_);
  const std::vector<std::byte> record = encode(entry, root_, salt_ + end_);
  KVASIR_RETURN_IF_ERROR(file_->write_at(end_, record));
  end_ += record.size();
  return {};
}

Status ReplayLog::compact(std::span<const std::shared_ptr<const ReplayEntry>> entries) {
  if (read_only()) return make_error(ErrorCode::kUnsupported, "the replay log is read only here", path_);
  const std::string path = path_ + ".new";
  if (const Status removed = files_.remove(path);
      !removed.ok() && removed.error().code != ErrorCode::kNotFound) {
    return removed;
  }
  std::unique_ptr<File> old_file = std::move(file_);
  const std::uint64_t old_salt = salt_;
  const std::uint64_t old_end = end_;
  const auto write = [&]() -> Status {
    KVASIR_RETURN_IF_ERROR(create(path));
    for (const auto& entry : entries) KVASIR_RETURN_IF_ERROR(append(*entry));
    KVASIR_RETURN_IF_ERROR(file_->sync());
    return files_.rename(path, path_);
  };
  if (const Status written = write(); !written.ok()) {
    file_ = std::move(old_file);
    salt_ = old_salt;
    end_ = old_end;
    return written;
  }
  // The new file is in place; at worst a loss of power brings the old one back.
  const Status named = files_.sync_folder(folder_of(path_));
  new_name_ = !named.ok();
  return named;
}

Status ReplayLog::sync() {
  if (read_only() || file_ == nullptr) return {};
  KVASIR_RETURN_IF_ERROR(file_->sync());
  if (!new_name_) return {};
  KVASIR_RETURN_IF_ERROR(files_.sync_folder(folder_of(path_)));
  new_name_ = false;
  return {};
}

}  // namespace kvasir::chat
