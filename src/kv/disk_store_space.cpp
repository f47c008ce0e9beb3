// The budget: which records go, and how their space comes back.

#include <algorithm>

#include "kv/disk_store_impl.h"

namespace kvasir::kv {
namespace {

// Re-appending may add this share of the payload bytes written (the promise is 1.2 times, headers included).
constexpr std::uint64_t kRelocationPercent = 15;
// Sparse segments are merged beyond this, so that the number of files stays bounded.
constexpr std::size_t kMostSegments = 1024;

}  // namespace

std::uint64_t DiskStore::Impl::bytes() const {
  std::uint64_t sum = 0;
  for (const auto& [id, segment] : segments_) sum += segment.space();
  return sum;
}

// Small enough that a segment which must go as a whole is a small part of the budget.
std::uint64_t DiskStore::Impl::segment_limit() const {
  const std::uint64_t least = kPageBytes + record_extent(options_.block_bytes);
  return std::max(least, std::min(options_.segment_bytes, options_.capacity_bytes / 8));
}

// Frees space for a record of `extent` bytes (0: only down to the budget) and the segment that it may need,
// keeping what `header` continues. False when it cannot be.
bool DiskStore::Impl::make_room(std::uint64_t extent, const RecordHeader* header) {
  if (extent > 0 && 2 * kPageBytes + extent > options_.capacity_bytes) return false;
  for (;;) {
    Step step;
    {
      const std::lock_guard lock(mutex_);
      step = next_step(extent, header);
    }
    switch (step.kind) {
      case Step::Kind::kEnough:
        return true;
      case Step::Kind::kHopeless:
        return false;
      case Step::Kind::kAgain:
        release(step.holes);
        break;
      case Step::Kind::kRemove:
        remove_segment(step.segment);
        break;
      case Step::Kind::kCompact:
        compact(step.segment);
        break;
    }
  }
}

DiskStore::Impl::Step DiskStore::Impl::next_step(std::uint64_t extent, const RecordHeader* header) {
  if (writes_stopped_) return {Step::Kind::kHopeless, 0, {}};
  std::uint64_t need = bytes() + extent;
  if (extent > 0 && needs_segment(extent)) need += kPageBytes;
  // Without holes a segment's last records must be copied out before its space comes back.
  if (!can_punch_) need += std::min(segment_limit() / 4 + kPageBytes, options_.capacity_bytes / 8);
  if (need <= options_.capacity_bytes) {
    const auto sparse = segments_.size() > kMostSegments ? emptiest_segment() : std::nullopt;
    if (!sparse || !mostly_empty(*sparse)) return {Step::Kind::kEnough, 0, {}};
    return {Step::Kind::kCompact, *sparse, {}};
  }
  // One that was emptied while it was being written.
  const auto emptiest = emptiest_segment();
  if (emptiest && segments_.at(*emptiest).live == 0) return {Step::Kind::kRemove, *emptiest, {}};
  if (const auto foreign = oldest_foreign()) return {Step::Kind::kRemove, *foreign, {}};
  const auto keep = header != nullptr ? index_.continued_by(*header) : std::nullopt;
  if (!can_punch_) return step_without_punching(keep);
  if (const auto gone = index_.evict(keep)) {
    ++counters_.evicted_records;
    return {Step::Kind::kAgain, 0, bury({*gone})};
  }
  return {Step::Kind::kHopeless, 0, {}};
}

DiskStore::Impl::Step DiskStore::Impl::step_without_punching(std::optional<RecordId> keep) {
  const auto emptiest = emptiest_segment();
  if (emptiest && mostly_empty(*emptiest)) return {Step::Kind::kCompact, *emptiest, {}};
  if (const auto gone = index_.evict(keep)) {
    ++counters_.evicted_records;
    return {Step::Kind::kAgain, 0, bury({*gone})};
  }
  if (emptiest) return {Step::Kind::kCompact, *emptiest, {}};
  if (!current_id_ || segments_.at(*current_id_).end == kPageBytes) return {Step::Kind::kHopeless, 0, {}};
  // Only the segment that is being written is left: close it, so that it can be removed too.
  current_id_.reset();
  return {Step::Kind::kAgain, 0, {}};
}

bool DiskStore::Impl::mostly_empty(std::uint32_t segment) const {
  return segments_.at(segment).live <= segments_.at(segment).end / 4;
}

std::optional<std::uint32_t> DiskStore::Impl::oldest_foreign() const {
  for (const auto& [id, segment] : segments_) {
    if (segment.foreign) return id;
  }
  return std::nullopt;
}

std::optional<std::uint32_t> DiskStore::Impl::emptiest_segment() const {
  std::optional<std::uint32_t> emptiest;
  for (const auto& [id, segment] : segments_) {
    if (segment.foreign || id == current_id_) continue;
    if (!emptiest || segment.live < segments_.at(*emptiest).live) emptiest = id;
  }
  return emptiest;
}

// Re-appends what lives in a segment, the most valuable first and within what may be written; drops the rest,
// and removes the segment.
void DiskStore::Impl::compact(std::uint32_t segment) {
  std::vector<RecordId> records;
  {
    const std::lock_guard lock(mutex_);
    records = index_.in_segment(segment);
  }
  for (const RecordId record : records) {
    if (relocate(record, segment)) continue;
    std::vector<Hole> holes;
    {
      const std::lock_guard lock(mutex_);
      if (writes_stopped_) return;
      const auto gone = index_.remove(record);
      counters_.evicted_records += gone.size();
      holes = bury(gone);
    }
    release(holes);
  }
  // The copies must be safe before the originals go.
  if (!sync().ok()) return;
  remove_segment(segment);
}

// False when the record is to be dropped: no budget for it, or its payload is damaged.
bool DiskStore::Impl::relocate(RecordId record, std::uint32_t segment) {
  RecordHeader header;
  {
    const std::lock_guard lock(mutex_);
    const auto place = index_.place(record);
    if (!place || place->segment != segment) return true;  // gone with what it continued
    const std::uint64_t extent = place->extent();
    const std::uint64_t allowed = counters_.appended_payload_bytes / 100 * kRelocationPercent;
    if (relocated_bytes_ + extent > allowed) return false;
    if (bytes() + extent + (needs_segment(extent) ? kPageBytes : 0) > options_.capacity_bytes) return false;
    header = index_.header(record);
  }
  std::vector<std::byte> payload(header.payload_bytes);
  const auto file = files_.open(path_of(segment), OpenMode::kRead);
  if (!file.ok()) return false;
  const auto got = (*file)->read_at(header.offset + kPageBytes, payload);
  if (!got.ok() || *got != payload.size() || checksum(payload) != header.payload_hash) return false;
  if (!write_record(header, payload).ok()) return false;
  const std::uint64_t extent = record_extent(payload.size());
  relocated_bytes_ += extent;
  const std::lock_guard lock(mutex_);
  if (!index_.place(record)) {  // found damaged by a reader meanwhile: the copy has no use
    segments_.at(header.segment).live -= extent;
    segments_.at(header.segment).dead += extent;
    return true;
  }
  index_.move(record, header.segment, header.offset);
  segments_.at(segment).live -= extent;
  segments_.at(segment).dead += extent;
  return true;
}

// Counts records that left the index as dead space; what is to be given back.
std::vector<DiskStore::Impl::Hole> DiskStore::Impl::bury(const std::vector<RecordPlace>& places) {
  std::vector<Hole> holes;
  for (const RecordPlace& place : places) {
    Segment& segment = segments_.at(place.segment);
    segment.live -= place.extent();
    segment.dead += place.extent();
    holes.push_back({place.segment, {place.offset, place.extent()}});
  }
  return holes;
}

void DiskStore::Impl::release(const std::vector<Hole>& holes) {
  for (const Hole& hole : holes) release_one(hole);
}

void DiskStore::Impl::release_one(const Hole& hole) {
  bool whole = false;
  {
    const std::lock_guard lock(mutex_);
    const auto found = segments_.find(hole.segment);
    if (read_only_ || writes_stopped_ || found == segments_.end()) return;
    whole = found->second.live == 0 && hole.segment != current_id_;
    if (!whole && !can_punch_) return;
  }
  if (whole) return remove_segment(hole.segment);
  const auto file = files_.open(path_of(hole.segment), OpenMode::kReadWrite);
  const Status status =
      file.ok() ? (*file)->punch_hole(hole.extent.offset, hole.extent.bytes) : Status(file.error());
  if (!status.ok() && status.error().code != ErrorCode::kUnsupported) {
    (void)stop_writes(status.error());
    return;
  }
  const std::lock_guard lock(mutex_);
  if (!status.ok()) {
    can_punch_ = false;
    return;
  }
  if (const auto found = segments_.find(hole.segment); found != segments_.end()) {
    found->second.dead -= hole.extent.bytes;
  }
}

void DiskStore::Impl::remove_segment(std::uint32_t segment) {
  const Status status = files_.remove(path_of(segment));
  if (!status.ok() && status.error().code != ErrorCode::kNotFound) {
    (void)stop_writes(status.error());
    return;
  }
  const std::lock_guard lock(mutex_);
  segments_.erase(segment);
}

}  // namespace kvasir::kv
