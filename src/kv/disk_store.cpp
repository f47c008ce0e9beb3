#include "kv/disk_store.h"

#include <algorithm>
#include <chrono>

#include "base/check.h"
#include "kv/disk_recency.h"
#include "kv/disk_store_impl.h"

namespace kvasir::kv {
namespace {

std::int64_t now_unix_seconds() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace

DiskStore::Impl::Impl(FileSystem& files, DiskStoreOptions options)
    : files_(files),
      options_(std::move(options)),
      index_(options_.root_name, options_.key_function),
      read_only_(options_.read_only || options_.capacity_bytes == 0) {}

DiskStore::Impl::~Impl() {
  if (read_only_ || writes_stopped_ || lock_ == nullptr) return;
  (void)sync();
  // Only order is lost when this fails, and there is nobody left to tell.
  if (!writes_stopped_) (void)save_recency(files_, options_.folder, options_.root_name, index_).ok();
}

DiskMatch DiskStore::Impl::match(std::string_view name_space, std::span<const TokenId> tokens,
                                 std::uint32_t from) {
  const std::lock_guard lock(mutex_);
  return index_.match(name_space, tokens, from);
}

std::uint32_t DiskStore::Impl::stored(std::string_view name_space, const BlockKey& parent,
                                      std::span<const TokenId> tokens) const {
  const std::lock_guard lock(mutex_);
  return index_.stored(name_space, parent, tokens);
}

Status DiskStore::Impl::append(std::string_view name_space, const BlockKey& parent,
                               std::span<const TokenId> tokens, std::uint32_t first,
                               std::span<const std::byte> payload, std::span<const TokenId> before) {
  if (payload.empty() || payload.size() > kMostPayloadBytes) return {};
  std::optional<RecordHeader> header;
  {
    const std::lock_guard lock(mutex_);
    if (read_only_ || writes_stopped_) return {};
    if (!before.empty() && !index_.spells(name_space, parent, before)) return {};
    header = index_.plan(name_space, parent, tokens, first);
  }
  if (!header) return {};
  header->payload_bytes = payload.size();
  header->payload_hash = checksum(payload);
  header->written_unix_seconds = now_unix_seconds();
  if (!make_room(record_extent(payload.size()), &*header)) return {};
  KVASIR_RETURN_IF_ERROR(write_record(*header, payload));
  std::optional<RecordId> keep;
  std::vector<Hole> holes;
  {
    const std::lock_guard lock(mutex_);
    const RecordPlace place{header->segment, header->offset, header->payload_bytes, header->payload_hash};
    ++counters_.appended_records;
    counters_.appended_payload_bytes += payload.size();
    const auto added = index_.add(std::move(*header));
    if (added != DiskIndex::Added::kLinked) {
      // What it continues was found damaged, by another thread, while it was written.
      (void)index_.take_orphans();
      holes = bury({place});
    } else {
      keep = index_.last_added();
    }
  }
  release(holes);
  if (keep) trim_leaves(keep);
  return {};
}

// Keeps the number of conversations; `keep` is the newest record.
void DiskStore::Impl::trim_leaves(std::optional<RecordId> keep) {
  if (options_.most_leaves == 0) return;
  for (;;) {
    std::vector<Hole> holes;
    {
      const std::lock_guard lock(mutex_);
      if (index_.conversations() <= options_.most_leaves) return;
      const auto gone = index_.evict_conversation(keep);
      if (gone.empty()) return;
      counters_.evicted_records += gone.size();
      holes = bury(gone);
    }
    release(holes);
  }
}

Status DiskStore::Impl::write_record(RecordHeader& header, std::span<const std::byte> payload) {
  KVASIR_RETURN_IF_ERROR(ensure_segment(record_extent(payload.size())));
  return put(header, payload);
}

// Gives the record its place in the current segment and writes it there.
Status DiskStore::Impl::put(RecordHeader& header, std::span<const std::byte> payload) {
  const std::uint64_t extent = record_extent(payload.size());
  {
    const std::lock_guard lock(mutex_);
    Segment& segment = segments_.at(*current_id_);
    header.segment = *current_id_;
    header.offset = segment.end;
    segment.end += extent;
    segment.live += extent;
    counters_.appended_bytes += extent;
  }
  if (unsynced_.empty() || unsynced_.back() != current_) unsynced_.push_back(current_);
  Page page;
  encode_record_header(header, page);
  // The payload first: a process that dies in between leaves no header that promises what is not there.
  Status status = current_->write_at(header.offset + kPageBytes, payload);
  if (status.ok()) status = current_->write_at(header.offset, page);
  if (status.ok()) return {};
  const bool undone = current_->truncate(header.offset).ok();
  {
    const std::lock_guard lock(mutex_);
    Segment& segment = segments_.at(header.segment);
    segment.live -= extent;
    if (undone) {
      segment.end -= extent;
    } else {
      segment.dead += extent;
    }
  }
  return stop_writes(status.error());
}

bool DiskStore::Impl::needs_segment(std::uint64_t extent) const {
  if (!current_id_) return true;
  const std::uint64_t end = segments_.at(*current_id_).end;
  return end > kPageBytes && end + extent > segment_limit();
}

Status DiskStore::Impl::ensure_segment(std::uint64_t extent) {
  std::optional<std::uint32_t> emptied;
  {
    const std::lock_guard lock(mutex_);
    if (!needs_segment(extent)) return {};
    if (current_id_ && segments_.at(*current_id_).live == 0) emptied = current_id_;
    current_id_.reset();
  }
  current_.reset();
  if (emptied) remove_segment(*emptied);
  return create_segment();
}

Status DiskStore::Impl::create_segment() {
  SegmentHeader header;
  {
    const std::lock_guard lock(mutex_);
    header.id = next_id_++;
  }
  header.block_bytes = options_.block_bytes;
  header.created_unix_seconds = now_unix_seconds();
  header.root_name = options_.root_name;
  header.label = options_.label.substr(0, kMostLabelBytes);
  Page page;
  encode_segment_header(header, page);
  auto file = files_.open(path_of(header.id), OpenMode::kCreateNew);
  if (!file.ok()) return stop_writes(file.error());
  if (const Status status = (*file)->write_at(0, page); !status.ok()) {
    (void)files_.remove(path_of(header.id)).ok();
    return stop_writes(status.error());
  }
  current_ = std::move(*file);
  folder_changed_ = true;
  const std::lock_guard lock(mutex_);
  current_id_ = header.id;
  segments_[header.id] = Segment{};
  counters_.appended_bytes += kPageBytes;
  return {};
}

Status DiskStore::Impl::stop_writes(const Error& error) {
  const std::lock_guard lock(mutex_);
  writes_stopped_ = true;
  return make_error(error.code, "the KV cache on disk is no longer written: " + error.message, error.subject);
}

Status DiskStore::Impl::sync() {
  {
    const std::lock_guard lock(mutex_);
    if (read_only_ || writes_stopped_) return {};
  }
  for (; !unsynced_.empty(); unsynced_.pop_back()) {
    if (const Status status = unsynced_.back()->sync(); !status.ok()) return stop_writes(status.error());
  }
  if (folder_changed_) {
    if (const Status status = files_.sync_folder(options_.folder); !status.ok()) {
      return stop_writes(status.error());
    }
    folder_changed_ = false;
  }
  return {};
}

Status DiskStore::Impl::read(RecordId record, std::span<std::byte> out) {
  std::optional<RecordPlace> place;
  bool missing = false;  // the file: another process that writes the folder has removed it
  // Compaction may move a record while it is read, and then removes the old segment: look again.
  for (int attempt = 0; attempt < 3; ++attempt) {
    {
      const std::lock_guard lock(mutex_);
      place = index_.place(record);
    }
    if (!place) return make_error(ErrorCode::kNotFound, "the record is no longer on disk");
    KVASIR_CHECK(out.size() == place->payload_bytes, "a record is read whole");
    const auto file = files_.open(path_of(place->segment), OpenMode::kRead);
    if (!file.ok()) {
      if (file.error().code != ErrorCode::kNotFound) return file.error();
      missing = true;
      continue;
    }
    missing = false;
    const auto got = (*file)->read_at(place->offset + kPageBytes, out);
    if (!got.ok()) {
      drop_damaged(record, *place);
      return got.error();
    }
    if (*got != out.size() || checksum(out) != place->payload_hash) break;
    const std::lock_guard lock(mutex_);
    ++counters_.read_records;
    counters_.read_bytes += out.size();
    return {};
  }
  {
    const std::lock_guard lock(mutex_);
    if (!index_.place(record)) return make_error(ErrorCode::kNotFound, "the record is no longer on disk");
  }
  drop_damaged(record, *place);
  if (missing) return make_error(ErrorCode::kNotFound, "the record is no longer on disk");
  return make_error(ErrorCode::kCorruptData,
                    "a record in " + path_of(place->segment) + " at " + std::to_string(place->offset) +
                        " is damaged; it is not used",
                    path_of(place->segment));
}

void DiskStore::Impl::drop_damaged(RecordId record, const RecordPlace& place) {
  std::vector<Hole> holes;
  {
    const std::lock_guard lock(mutex_);
    const auto now = index_.place(record);
    if (!now || now->segment != place.segment || now->offset != place.offset) return;
    const auto gone = index_.remove(record);
    ++counters_.skipped_torn;
    counters_.skipped_orphans += gone.size() - 1;
    holes = bury(gone);
  }
  release(holes);
}

std::size_t DiskStore::Impl::payload_bytes(RecordId record) const {
  const std::lock_guard lock(mutex_);
  const auto place = index_.place(record);
  return place ? place->payload_bytes : 0;
}

DiskStats DiskStore::Impl::stats() const {
  const std::lock_guard lock(mutex_);
  DiskStats stats = counters_;
  stats.bytes = bytes();
  stats.capacity_bytes = options_.capacity_bytes;
  stats.records = index_.records();
  stats.leaves = index_.conversations();
  stats.tokens = index_.tokens();
  stats.read_only = read_only_;
  stats.writes_stopped = writes_stopped_;
  return stats;
}

void DiskStore::Impl::check_invariants() const {
  const std::lock_guard lock(mutex_);
  index_.check_invariants();
  std::map<std::uint32_t, std::uint64_t> live;
  for (const RecordId id : index_.in_tree_order()) {
    const auto place = index_.place(id);
    live[place->segment] += place->extent();
    KVASIR_CHECK(segments_.contains(place->segment), "every record lies in a segment");
    KVASIR_CHECK(place->offset + place->extent() <= segments_.at(place->segment).end,
                 "every record lies inside its segment");
  }
  for (const auto& [id, segment] : segments_) {
    KVASIR_CHECK(segment.live == live[id], "the space of living records is counted");
  }
}

DiskStore::DiskStore(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
DiskStore::~DiskStore() = default;

Result<std::unique_ptr<DiskStore>> DiskStore::open(FileSystem& files, DiskStoreOptions options) {
  if (options.folder.empty() || options.block_bytes == 0 || options.root_name.size() > kMostRootNameBytes) {
    return make_error(ErrorCode::kInvalidArgument,
                      "a KV store needs a folder, the size of a block, and a root name of at most " +
                          std::to_string(kMostRootNameBytes) + " bytes");
  }
  auto impl = std::make_unique<Impl>(files, std::move(options));
  impl->open();
  return std::unique_ptr<DiskStore>(new DiskStore(std::move(impl)));
}

const std::string& DiskStore::warning() const {
  return impl_->warning();
}
BlockKey DiskStore::root_key(std::string_view name_space) const {
  return impl_->root_key(name_space);
}
DiskMatch DiskStore::match(std::string_view name_space, std::span<const TokenId> tokens, std::uint32_t from) {
  return impl_->match(name_space, tokens, from);
}
std::uint32_t DiskStore::stored(std::string_view name_space, const BlockKey& parent,
                                std::span<const TokenId> tokens) const {
  return impl_->stored(name_space, parent, tokens);
}
Status DiskStore::append(std::string_view name_space, const BlockKey& parent, std::span<const TokenId> tokens,
                         std::uint32_t first, std::span<const std::byte> payload,
                         std::span<const TokenId> before) {
  return impl_->append(name_space, parent, tokens, first, payload, before);
}
Status DiskStore::sync() {
  return impl_->sync();
}
Status DiskStore::read(RecordId record, std::span<std::byte> out) {
  return impl_->read(record, out);
}
std::size_t DiskStore::payload_bytes(RecordId record) const {
  return impl_->payload_bytes(record);
}
DiskUse DiskStore::use(const NameSpaceFilter& whose) const {
  return impl_->use(whose);
}
std::vector<DiskConversation> DiskStore::conversations(const NameSpaceFilter& whose) const {
  return impl_->conversations(whose);
}
std::vector<RecordId> DiskStore::records(const NameSpaceFilter& whose) const {
  return impl_->records(whose);
}
std::optional<RecordHeader> DiskStore::header(RecordId record) const {
  return impl_->header(record);
}
std::uint64_t DiskStore::prune_some(const NameSpaceFilter& whose, std::uint64_t keep_bytes) {
  return impl_->prune_some(whose, keep_bytes);
}
const DiskStoreOptions& DiskStore::options() const {
  return impl_->options();
}
FileSystem& DiskStore::files() const {
  return impl_->files();
}
DiskStats DiskStore::stats() const {
  return impl_->stats();
}
void DiskStore::check_invariants() const {
  impl_->check_invariants();
}

}  // namespace kvasir::kv
