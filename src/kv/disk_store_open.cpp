// Opening a store: the lock, the scan, and what is cleaned up behind it.

#include <algorithm>

#include "kv/disk_recency.h"
#include "kv/disk_store_impl.h"

namespace kvasir::kv {

void DiskStore::Impl::open() {
  const bool writes = !read_only_ && take_folder();
  read_only_ = !writes;
  const auto names = files_.list(options_.folder);
  if (!names.ok()) {
    // A folder that is not there yet is an empty one to a reader.
    if (names.error().code != ErrorCode::kNotFound) warn(names.error(), "no KV is read from disk");
    read_only_ = true;
    return;
  }
  scan_folder(*names);
  load_recency(files_, options_.folder, options_.root_name, index_);
  if (read_only_) return;
  for (const std::uint32_t id : stillborn_) remove_segment(id);
  if (!damaged_reads_) {
    release(rubbish_);
    // Were a hole to come undone in a loss of power, an old header could cover what is appended from now on.
    if (!rubbish_.empty()) (void)sync();
  }
  rubbish_.clear();
  continue_last_segment();
  (void)make_room(0, nullptr);
  trim_leaves(std::nullopt);
}

// Makes and locks the folder; false, with a warning, where this process must not write.
bool DiskStore::Impl::take_folder() {
  if (const Status made = files_.make_folder(options_.folder); !made.ok()) {
    warn(made.error(), "the KV cache on disk is not written");
    return false;
  }
  auto lock = files_.try_lock(options_.folder + "/lock");
  if (!lock.ok()) {
    warn(lock.error(), "the KV cache on disk is not written");
    return false;
  }
  if (*lock == nullptr) {
    warning_ = "another process writes the KV cache in " + options_.folder + "; this one only reads it";
    return false;
  }
  lock_ = std::move(*lock);
  return true;
}

void DiskStore::Impl::warn(const Error& error, const char* consequence) {
  if (warning_.empty()) warning_ = error.message + "; " + consequence;
}

void DiskStore::Impl::scan_folder(const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    const auto id = parse_segment_name(name);
    if (!id) continue;
    next_id_ = std::max(next_id_, *id + 1);
    scan_one(*id);
  }
  const auto orphans = index_.take_orphans();
  counters_.skipped_orphans += orphans.size();
  const auto holes = bury(orphans);
  rubbish_.insert(rubbish_.end(), holes.begin(), holes.end());
}

void DiskStore::Impl::scan_one(std::uint32_t id) {
  const auto file = files_.open(path_of(id), OpenMode::kRead);
  if (!file.ok()) {
    if (file.error().code == ErrorCode::kNotFound) return;  // the writer removed it meanwhile
    damaged_reads_ = true;
    warn(file.error(), "what it holds is not used");
    return;
  }
  SegmentScan scan = scan_segment(**file, id);
  damaged_reads_ = damaged_reads_ || scan.read_failed;
  Segment segment;
  segment.end = std::max(scan.end, kPageBytes);
  const bool own = scan.kind == PageKind::kSound && scan.header.root_name == options_.root_name &&
                   scan.header.block_bytes == options_.block_bytes;
  if (!own) {
    segment.foreign = true;
    const auto allocated = (*file)->allocated();
    segment.dead = allocated.ok() ? *allocated : segment.end;
    // The making of it was interrupted: nothing can be in it.
    if (scan.kind == PageKind::kUnsound && scan.end <= kPageBytes && !scan.read_failed)
      stillborn_.push_back(id);
    ++(scan.kind == PageKind::kUnsound ? counters_.skipped_torn : counters_.skipped_foreign);
    segments_[id] = segment;
    return;
  }
  take_records(id, segments_[id] = segment, std::move(scan));
}

void DiskStore::Impl::take_records(std::uint32_t id, Segment& segment, SegmentScan&& scan) {
  counters_.skipped_torn += scan.torn;
  segment.appendable = scan.dead.empty() && !scan.read_failed;
  for (const Extent& extent : scan.dead) {
    segment.dead += extent.bytes;
    rubbish_.push_back({id, extent});
  }
  for (RecordHeader& record : scan.records) {
    const RecordPlace place{id, record.offset, record.payload_bytes, record.payload_hash};
    if (index_.add(std::move(record)) != DiskIndex::Added::kRejected) {
      segment.live += place.extent();
      continue;
    }
    segment.dead += place.extent();
    rubbish_.push_back({id, {place.offset, place.extent()}});
  }
}

// A restart does not begin a new file as long as the last one has room and nothing doubtful in it.
void DiskStore::Impl::continue_last_segment() {
  std::optional<std::uint32_t> last;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [id, segment] : segments_) {
      if (!segment.foreign) last = id;
    }
    if (!last || !segments_.at(*last).appendable || segments_.at(*last).end >= segment_limit()) return;
  }
  auto file = files_.open(path_of(*last), OpenMode::kReadWrite);
  if (!file.ok()) return;
  current_ = std::move(*file);
  const std::lock_guard lock(mutex_);
  current_id_ = last;
}

}  // namespace kvasir::kv
