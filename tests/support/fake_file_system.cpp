#include "support/fake_file_system.h"

#include <algorithm>
#include <cstring>

namespace kvasir {

void FakeFileSystem::Content::apply(const Change& change) {
  const std::uint64_t end = change.offset + change.length;
  switch (change.kind) {
    case Change::Kind::kWrite:
      if (change.length == 0) return;
      if (bytes.size() < end) bytes.resize(end);
      std::memcpy(bytes.data() + change.offset, change.data.data(), change.length);
      for (std::uint64_t page = change.offset / kPage; page * kPage < end; ++page) pages.insert(page);
      return;
    case Change::Kind::kTruncate:
      bytes.resize(change.length);
      pages.erase(pages.lower_bound((change.length + kPage - 1) / kPage), pages.end());
      return;
    case Change::Kind::kPunch:
      if (change.offset < bytes.size()) {
        const auto stop = std::min<std::uint64_t>(end, bytes.size());
        std::memset(bytes.data() + change.offset, 0, stop - change.offset);
      }
      pages.erase(pages.lower_bound(change.offset / kPage), pages.lower_bound(end / kPage));
      return;
  }
}

void FakeFileSystem::Node::change(Change change) {
  now.apply(change);
  pending.push_back(std::move(change));
}

void FakeFileSystem::NameChange::apply(Names& names) const {
  if (!from.empty()) names.erase(from);
  if (!to.empty()) names[to] = node;
}

class FakeFile : public File {
 public:
  FakeFile(FakeFileSystem& files, std::string path, std::shared_ptr<FakeFileSystem::Node> node, bool writable)
      : files_(files),
        path_(std::move(path)),
        node_(std::move(node)),
        writable_(writable),
        epoch_(files.epoch_) {}

  Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> out) const override {
    const std::lock_guard lock(files_.mutex_);
    if (auto error = fault(false)) return *error;
    const auto& bytes = node_->now.bytes;
    if (offset >= bytes.size()) return std::size_t{0};
    const auto count = std::min<std::size_t>(out.size(), bytes.size() - offset);
    std::memcpy(out.data(), bytes.data() + offset, count);
    return count;
  }

  Status write_at(std::uint64_t offset, std::span<const std::byte> data) override {
    using Change = FakeFileSystem::Change;
    const std::lock_guard lock(files_.mutex_);
    if (epoch_ != files_.epoch_ || !writable_ || files_.read_only_) return *fault(true);
    auto error = fault(true);
    std::uint64_t length = data.size();
    if (error) length = data.empty() ? 0 : files_.pick(data.size());
    const std::uint64_t used = files_.used();
    if (!error && used + length + FakeFileSystem::kPage > files_.space_) {
      const std::uint64_t left = files_.space_ > used ? files_.space_ - used : 0;
      length = std::min<std::uint64_t>(length, left / FakeFileSystem::kPage * FakeFileSystem::kPage);
      error = make_error(ErrorCode::kResourceExhausted, "no space left for " + path_, path_);
    }
    if (length > 0) {
      const auto part = data.first(length);
      node_->change({Change::Kind::kWrite, offset, length, {part.begin(), part.end()}});
      files_.written_bytes_ += length;
    }
    if (error) return *error;
    return {};
  }

  Status sync() override {
    const std::lock_guard lock(files_.mutex_);
    if (auto error = fault(true)) return *error;
    files_.settle(*node_);
    return {};
  }

  Result<std::uint64_t> size() const override {
    const std::lock_guard lock(files_.mutex_);
    if (auto error = fault(false)) return *error;
    return std::uint64_t{node_->now.bytes.size()};
  }

  Result<std::uint64_t> allocated() const override {
    const std::lock_guard lock(files_.mutex_);
    if (auto error = fault(false)) return *error;
    return std::uint64_t{node_->now.pages.size()} * FakeFileSystem::kPage;
  }

  Status truncate(std::uint64_t size) override {
    const std::lock_guard lock(files_.mutex_);
    if (auto error = fault(true)) return *error;
    node_->change({FakeFileSystem::Change::Kind::kTruncate, 0, size, {}});
    return {};
  }

  Status punch_hole(std::uint64_t offset, std::uint64_t length) override {
    const std::lock_guard lock(files_.mutex_);
    if (auto error = fault(true)) return *error;
    if (!files_.punching_) return make_error(ErrorCode::kUnsupported, path_ + " cannot have holes", path_);
    node_->change({FakeFileSystem::Change::Kind::kPunch, offset, length, {}});
    return {};
  }

  Result<std::optional<std::uint64_t>> next_data(std::uint64_t offset) const override {
    const std::lock_guard lock(files_.mutex_);
    if (auto error = fault(false)) return *error;
    if (offset >= node_->now.bytes.size()) return std::optional<std::uint64_t>();
    if (!files_.knows_holes_) return std::optional(offset);
    const auto page = node_->now.pages.lower_bound(offset / FakeFileSystem::kPage);
    if (page == node_->now.pages.end()) return std::optional<std::uint64_t>();
    return std::optional(std::max(offset, *page * FakeFileSystem::kPage));
  }

 private:
  std::optional<Error> fault(bool writes) const {
    if (epoch_ != files_.epoch_) return make_error(ErrorCode::kIo, "a handle of before the crash", path_);
    if (writes && !writable_) return make_error(ErrorCode::kIo, path_ + " is open for reading", path_);
    return files_.fault(path_, writes);
  }

  FakeFileSystem& files_;
  std::string path_;
  std::shared_ptr<FakeFileSystem::Node> node_;
  bool writable_;
  std::uint64_t epoch_;
};

class FakeLock : public FileLock {
 public:
  FakeLock(FakeFileSystem& files, std::string path)
      : files_(files), path_(std::move(path)), epoch_(files.epoch_) {}
  ~FakeLock() override {
    const std::lock_guard lock(files_.mutex_);
    if (epoch_ == files_.epoch_) files_.locks_.erase(path_);
  }

 private:
  FakeFileSystem& files_;
  std::string path_;
  std::uint64_t epoch_;
};

std::optional<Error> FakeFileSystem::fault(const std::string& path, bool writes) {
  const std::uint64_t call = calls_++;
  if (fail_at_ && (call == *fail_at_ || (fail_all_ && call > *fail_at_))) {
    return make_error(fail_code_, "an injected fault at " + path, path);
  }
  if (writes && read_only_) return make_error(ErrorCode::kIo, path + " is on a read-only file system", path);
  return std::nullopt;
}

void FakeFileSystem::fail_after(std::uint64_t calls, ErrorCode code, bool all) {
  fail_at_ = calls_ + calls;
  fail_code_ = code;
  fail_all_ = all;
}

std::uint64_t FakeFileSystem::used() const {
  std::uint64_t pages = 0;
  for (const auto& [path, node] : names_) pages += node->now.pages.size();
  return pages * kPage;
}

void FakeFileSystem::settle(Node& node) {
  for (const Change& change : node.pending) node.durable.apply(change);
  node.pending.clear();
}

void FakeFileSystem::name(NameChange change) {
  change.apply(names_);
  pending_names_.push_back(std::move(change));
}

void FakeFileSystem::kill() {
  const std::lock_guard lock(mutex_);
  ++epoch_;
  locks_.clear();
}

void FakeFileSystem::crash(std::uint64_t seed) {
  kill();
  const std::lock_guard lock(mutex_);
  random_.seed(seed);
  for (const auto& change : pending_names_) {
    if (pick(2) == 0) change.apply(durable_names_);
  }
  pending_names_.clear();
  names_ = durable_names_;
  for (auto& [path, node] : names_) {
    std::ranges::shuffle(node->pending, random_);
    for (Change& change : node->pending) {
      const std::size_t fate = pick(3);
      if (fate == 0) continue;
      if (fate == 1 && change.kind == Change::Kind::kWrite) {
        const std::uint64_t cut = pick(change.length + 1);
        // The file may be longer than what of it was written.
        if (pick(2) == 0) {
          std::fill(change.data.begin() + static_cast<std::ptrdiff_t>(cut), change.data.end(), std::byte{0});
        } else {
          change.length = cut;
        }
      }
      node->durable.apply(change);
    }
    node->pending.clear();
    node->now = node->durable;
  }
}

std::vector<std::byte> FakeFileSystem::content(const std::string& path) const {
  const std::lock_guard lock(mutex_);
  return names_.at(path)->now.bytes;
}

void FakeFileSystem::set_content(const std::string& path, std::vector<std::byte> bytes) {
  const std::lock_guard lock(mutex_);
  auto node = std::make_shared<Node>();
  const std::uint64_t length = bytes.size();
  node->change({Change::Kind::kWrite, 0, length, std::move(bytes)});
  settle(*node);
  names_[path] = node;
  durable_names_[path] = node;
}

void FakeFileSystem::flip_bit(const std::string& path, std::uint64_t bit) {
  const std::lock_guard lock(mutex_);
  names_.at(path)->now.bytes.at(bit / 8) ^= static_cast<std::byte>(1 << (bit % 8));
}

std::vector<std::string> FakeFileSystem::paths() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> all;
  for (const auto& [path, node] : names_) all.push_back(path);
  return all;
}

std::uint64_t FakeFileSystem::allocated(const std::string& prefix) const {
  const std::lock_guard lock(mutex_);
  std::uint64_t pages = 0;
  for (const auto& [path, node] : names_) {
    if (path.starts_with(prefix)) pages += node->now.pages.size();
  }
  return pages * kPage;
}

Result<std::unique_ptr<File>> FakeFileSystem::open(const std::string& path, OpenMode mode) {
  const std::lock_guard lock(mutex_);
  if (auto error = fault(path, mode != OpenMode::kRead)) return *error;
  const auto found = names_.find(path);
  if (mode == OpenMode::kCreateNew) {
    if (found != names_.end()) return make_error(ErrorCode::kIo, path + " exists", path);
    name({"", path, std::make_shared<Node>()});
  } else if (found == names_.end()) {
    return make_error(ErrorCode::kNotFound, path + " is missing", path);
  }
  return std::unique_ptr<File>(
      std::make_unique<FakeFile>(*this, path, names_.at(path), mode != OpenMode::kRead));
}

Status FakeFileSystem::make_folder(const std::string& path) {
  const std::lock_guard lock(mutex_);
  if (folders_.contains(path)) return {};
  if (auto error = fault(path, true)) return *error;
  folders_.insert(path);
  return {};
}

Result<std::vector<std::string>> FakeFileSystem::list(const std::string& folder) {
  const std::lock_guard lock(mutex_);
  if (auto error = fault(folder, false)) return *error;
  if (!folders_.contains(folder)) return make_error(ErrorCode::kNotFound, folder + " is missing", folder);
  std::vector<std::string> found;
  for (const auto& [path, node] : names_) {
    if (!path.starts_with(folder + '/')) continue;
    std::string rest = path.substr(folder.size() + 1);
    if (rest.find('/') == std::string::npos) found.push_back(std::move(rest));
  }
  return found;
}

Status FakeFileSystem::remove(const std::string& path) {
  const std::lock_guard lock(mutex_);
  if (auto error = fault(path, true)) return *error;
  if (!names_.contains(path)) return make_error(ErrorCode::kNotFound, path + " is missing", path);
  name({path, "", nullptr});
  return {};
}

Status FakeFileSystem::rename(const std::string& from, const std::string& to) {
  const std::lock_guard lock(mutex_);
  if (auto error = fault(from, true)) return *error;
  const auto found = names_.find(from);
  if (found == names_.end()) return make_error(ErrorCode::kNotFound, from + " is missing", from);
  const auto node = found->second;
  name({from, to, node});
  return {};
}

Status FakeFileSystem::sync_folder(const std::string& folder) {
  const std::lock_guard lock(mutex_);
  if (auto error = fault(folder, true)) return *error;
  const auto inside = [&](const NameChange& change) {
    return (change.to.empty() ? change.from : change.to).starts_with(folder + '/');
  };
  for (const auto& change : pending_names_) {
    if (inside(change)) change.apply(durable_names_);
  }
  std::erase_if(pending_names_, inside);
  return {};
}

Result<std::unique_ptr<FileLock>> FakeFileSystem::try_lock(const std::string& path) {
  const std::lock_guard lock(mutex_);
  if (auto error = fault(path, true)) return *error;
  if (!locks_.insert(path).second) return std::unique_ptr<FileLock>();
  return std::unique_ptr<FileLock>(std::make_unique<FakeLock>(*this, path));
}

Result<std::uint64_t> FakeFileSystem::free_bytes(const std::string& path) {
  const std::lock_guard lock(mutex_);
  if (auto error = fault(path, false)) return *error;
  const std::uint64_t taken = used();
  return space_ > taken ? space_ - taken : 0;
}

}  // namespace kvasir
