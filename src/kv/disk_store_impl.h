#pragma once
// What is behind DiskStore: the index, the segments' space, and the one segment that is written.
//
// mutex_ guards everything below its declaration; no I/O is done while it is held. What only the writing
// thread touches (append, sync, close) stands apart.

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "kv/disk_index.h"
#include "kv/disk_store.h"
#include "kv/segment_scan.h"

namespace kvasir::kv {

class DiskStore::Impl {
 public:
  Impl(FileSystem& files, DiskStoreOptions options);
  ~Impl();
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  void open();
  const std::string& warning() const { return warning_; }
  BlockKey root_key(std::string_view name_space) const { return hash_root(options_.root_name, name_space); }
  DiskMatch match(std::string_view name_space, std::span<const TokenId> tokens, std::uint32_t from);
  std::uint32_t stored(std::string_view name_space, const BlockKey& parent,
                       std::span<const TokenId> tokens) const;
  Status append(std::string_view name_space, const BlockKey& parent, std::span<const TokenId> tokens,
                std::uint32_t first, std::span<const std::byte> payload, std::span<const TokenId> before);
  Status sync();
  Status read(RecordId record, std::span<std::byte> out);
  std::size_t payload_bytes(RecordId record) const;
  DiskUse use(const NameSpaceFilter& whose) const;
  std::vector<DiskConversation> conversations(const NameSpaceFilter& whose) const;
  std::vector<RecordId> records(const NameSpaceFilter& whose) const;
  std::optional<RecordHeader> header(RecordId record) const;
  std::uint64_t prune_some(const NameSpaceFilter& whose, std::uint64_t keep_bytes);
  const DiskStoreOptions& options() const { return options_; }
  FileSystem& files() const { return files_; }
  DiskStats stats() const;
  void check_invariants() const;

 private:
  struct Segment {
    std::uint64_t end = kPageBytes;  // where the next record would go
    std::uint64_t live = 0;          // bytes of records in the index, or being written
    std::uint64_t dead = 0;          // bytes that take space and serve nothing
    bool foreign = false;            // not this root's: all of it is dead here
    bool appendable = false;         // the scan found nothing unsound
    std::uint64_t space() const { return (foreign ? 0 : kPageBytes) + live + dead; }
  };
  struct Hole {
    std::uint32_t segment = 0;
    Extent extent;
  };

  // Opening (disk_store_open.cpp).
  bool take_folder();
  void scan_folder(const std::vector<std::string>& names);
  void scan_one(std::uint32_t id);
  void take_records(std::uint32_t id, Segment& segment, SegmentScan&& scan);
  void continue_last_segment();
  void warn(const Error& error, const char* consequence);

  // Writing (disk_store.cpp).
  Status write_record(RecordHeader& header, std::span<const std::byte> payload);
  Status put(RecordHeader& header, std::span<const std::byte> payload);
  Status ensure_segment(std::uint64_t extent);
  Status create_segment();
  bool needs_segment(std::uint64_t extent) const;
  Status stop_writes(const Error& error);
  void drop_damaged(RecordId record, const RecordPlace& place);
  void trim_leaves(std::optional<RecordId> keep);

  // Space (disk_store_space.cpp).
  bool make_room(std::uint64_t extent, const RecordHeader* header);
  struct Step {  // what to do, without the mutex, to come closer to enough room
    enum class Kind { kEnough, kHopeless, kAgain, kRemove, kCompact } kind = Kind::kEnough;
    std::uint32_t segment = 0;
    std::vector<Hole> holes;
  };
  Step next_step(std::uint64_t extent, const RecordHeader* header);
  Step step_without_punching(std::optional<RecordId> keep);
  std::optional<std::uint32_t> oldest_foreign() const;
  std::optional<std::uint32_t> emptiest_segment() const;
  bool mostly_empty(std::uint32_t segment) const;
  void compact(std::uint32_t segment);
  bool relocate(RecordId record, std::uint32_t segment);
  void remove_segment(std::uint32_t segment);
  std::vector<Hole> bury(const std::vector<RecordPlace>& places);
  void release(const std::vector<Hole>& holes);
  void release_one(const Hole& hole);
  std::uint64_t bytes() const;
  std::uint64_t segment_limit() const;

  std::string path_of(std::uint32_t segment) const { return path_in(options_.folder, segment_name(segment)); }

  FileSystem& files_;
  const DiskStoreOptions options_;
  std::string warning_;
  std::unique_ptr<FileLock> lock_;

  // The writing thread's.
  std::shared_ptr<File> current_;
  std::vector<std::shared_ptr<File>> unsynced_;
  bool folder_changed_ = false;
  bool damaged_reads_ = false;  // the scan did not see everything: nothing is cleaned up
  std::vector<Hole> rubbish_;   // found by the scan
  std::vector<std::uint32_t> stillborn_;
  std::uint64_t relocated_bytes_ = 0;

  mutable std::mutex mutex_;
  DiskIndex index_;
  std::map<std::uint32_t, Segment> segments_;
  std::optional<std::uint32_t> current_id_;
  std::uint32_t next_id_ = 1;
  bool read_only_ = false;
  bool writes_stopped_ = false;
  bool can_punch_ = true;
  DiskStats counters_;
};

}  // namespace kvasir::kv
