#pragma once
// KV on disk: what has been read before, over restarts. Append-only, checksummed segments and an index in
// memory that is made by scanning them; docs/formats/kv-segment.md has the format, byte by byte.
//
// A record holds the KV of a run of tokens inside one block: the block continues the full block `parent` (or
// the namespace's root), `tokens` are the block's tokens from its start, and the payload covers those from
// `first` on; what is before them lies in other records of the same block. So a block that grows is never
// written twice. Keys are the prefix tree's (hash_block chained from the root's key); tokens, parent and
// namespace are compared before anything is served, and a record can be served only while all that it
// continues is there.
//
// Budget: the segments of all models in the folder take at most `capacity_bytes`; beyond it, leaves (records
// that nothing continues) go, the least valuable first, by priority as in the prefix tree, and their space is
// given back by punching holes, or, where the file system cannot, by re-appending what lives and removing the
// segment. Records of another model (another root) count and may be dropped, oldest segment first, and are
// otherwise left alone.
//
// Crashes: every record stands for itself. A torn, flipped, foreign or orphaned one is skipped and counted,
// never served. One process writes (a lock in the folder); a second one reads only.
//
// Recency is kept over a clean restart; after a kill, what was written last counts as used last.
//
// Threads: every member may be called from any thread. Index look-ups take a mutex for microseconds and do no
// I/O; append(), sync(), read() do I/O without holding it. append() and sync() are called by one thread at a
// time.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/file_system.h"
#include "base/types.h"
#include "kv/name_space_filter.h"
#include "kv/prefix_tree.h"
#include "kv/segment_format.h"

namespace kvasir::kv {

struct DiskStoreOptions {
  std::string folder;                // made with mode 0700 where it is missing
  std::string root_name;             // everything that KV depends on besides tokens, as for PrefixTree;
                                     // at most 3072 bytes
  std::string label;                 // a person's word for it ("qwen2.5-coder-0.5b f16"), shown by `cache ls`
  std::size_t block_bytes = 0;       // of a full block's payload
  std::uint64_t capacity_bytes = 0;  // 0: keep nothing new, and what is there (read-only, without a lock)
  std::uint32_t most_leaves = 0;     // conversations kept at most; 0: as many as fit
  std::uint64_t segment_bytes = std::uint64_t{256} << 20;
  bool read_only = false;  // do not even try for the lock
  KeyFunction key_function = hash_block;
};

enum class RecordId : std::uint64_t {};

// One read that brings tokens [first, last) of block `block_index` of the asked sequence.
struct DiskRead {
  RecordId record{};
  std::uint32_t block_index = 0;
  std::uint32_t first = 0;
  std::uint32_t last = 0;          // the record may hold more than is wanted
  std::uint32_t record_first = 0;  // the payload covers [record_first, record_last) of the block
  std::uint32_t record_last = 0;
};

// The longest match of a token sequence, from `from` (a multiple of kBlockTokens) on.
struct DiskMatch {
  std::uint32_t tokens = 0;     // all of [from, tokens) can be read; at least `from`
  std::uint64_t bytes = 0;      // of the payloads to read
  std::vector<DiskRead> reads;  // in token order
};

struct DiskStats {
  std::uint64_t bytes = 0;  // space the segments take, all models
  std::uint64_t capacity_bytes = 0;
  std::uint64_t records = 0;  // that can be served
  std::uint64_t leaves = 0;
  std::uint64_t tokens = 0;
  std::uint64_t appended_records = 0;
  std::uint64_t appended_payload_bytes = 0;
  std::uint64_t appended_bytes = 0;  // headers, padding and re-appending included
  std::uint64_t read_records = 0;
  std::uint64_t read_bytes = 0;
  std::uint64_t evicted_records = 0;
  std::uint64_t skipped_torn = 0;     // checksums or bounds that do not hold
  std::uint64_t skipped_foreign = 0;  // segments of other models, versions, byte orders
  std::uint64_t skipped_orphans = 0;  // records whose parents are gone
  bool read_only = false;
  bool writes_stopped = false;  // a write failed; the store goes on reading
};

// One conversation on disk: a leaf and the path to it.
struct DiskConversation {
  std::string label;
  std::string name_space;
  std::uint32_t tokens = 0;
  std::uint64_t bytes = 0;  // of its own records, those shared with others left out
  std::uint64_t shared_bytes = 0;
  std::int64_t written_unix_seconds = 0;
  std::uint32_t segment = 0;  // where its last record lies: records of one second are told apart by it
  std::uint64_t offset = 0;
};
// The one written last first, also within a second.
void sort_newest_first(std::vector<DiskConversation>& conversations);

// What the records of some namespaces come to.
struct DiskUse {
  std::uint64_t records = 0;
  std::uint64_t conversations = 0;
  std::uint64_t tokens = 0;
  std::uint64_t bytes = 0;  // headers and padding included
};

class DiskStore {
 public:
  // Scans what is there. A folder that cannot be made, read or locked, or that is on a read-only file system,
  // is no reason to fail: the store is then read-only or empty, and warning() says why, in one line.
  // kInvalidArgument: no folder, no block size, or a root name that is too long. A store that reads only does
  // not see what the writer appends later.
  static Result<std::unique_ptr<DiskStore>> open(FileSystem& files, DiskStoreOptions options);
  ~DiskStore();
  DiskStore(const DiskStore&) = delete;
  DiskStore& operator=(const DiskStore&) = delete;

  const std::string& warning() const;
  BlockKey root_key(std::string_view name_space) const;

  // The longest match; changes nothing but the recency of what it names.
  DiskMatch match(std::string_view name_space, std::span<const TokenId> tokens, std::uint32_t from);

  // How many of `tokens` (a block's, from its start; at most kBlockTokens) below `parent` are stored and may
  // be continued by a record whose `first` is this. Equal to tokens.size(): nothing needs to be written.
  std::uint32_t stored(std::string_view name_space, const BlockKey& parent,
                       std::span<const TokenId> tokens) const;

  // Appends a record: `payload` is the KV of tokens [first, tokens.size()), where first is what stored()
  // said. A record that is there already, or whose parent or beginning is not, or whose namespace is longer
  // than 256 bytes, or that the budget has no room for, is silently not written. Makes room where the budget
  // asks for it. kResourceExhausted, kIo: nothing is lost but this record, and writes stop for good; later
  // calls do nothing and succeed, so that every error that is returned is worth one warning.
  //
  // The parent's key alone names it. With `before`, all the tokens from the sequence's start to the block,
  // they are compared with what is stored, so that a collision of keys costs a record that is not written;
  // without it, KV of another sequence of the same namespace could follow the wrong parent.
  Status append(std::string_view name_space, const BlockKey& parent, std::span<const TokenId> tokens,
                std::uint32_t first, std::span<const std::byte> payload,
                std::span<const TokenId> before = {});
  // Makes what has been appended survive a loss of power. Errors as for append().
  Status sync();

  // Reads a record's whole payload (out.size() is its size) and checks it. kNotFound when it has been evicted
  // meanwhile, kCorruptData when its checksum does not hold and kIo when it cannot be read: it is dropped and
  // counted, with all that continues it.
  Status read(RecordId record, std::span<std::byte> out);
  std::size_t payload_bytes(RecordId record) const;  // 0 when it is gone

  // ---- For people, while it serves: kv/disk_admin.h ----
  // None of these keeps the mutex for more than some milliseconds.
  DiskUse use(const NameSpaceFilter& whose) const;
  std::vector<DiskConversation> conversations(const NameSpaceFilter& whose) const;  // newest first
  std::vector<RecordId> records(const NameSpaceFilter& whose) const;  // parents before what continues them
  std::optional<RecordHeader> header(RecordId record) const;          // nullopt when it is gone
  // Evicts records, the least valuable first, until those of `whose` take at most `keep_bytes`; a bounded
  // number a call. Returns the bytes given back: 0 when nothing is left to do. One thread at a time with
  // append() and sync().
  std::uint64_t prune_some(const NameSpaceFilter& whose, std::uint64_t keep_bytes);
  const DiskStoreOptions& options() const;
  FileSystem& files() const;

  DiskStats stats() const;
  // Recounts the index and compares everything that must agree; aborts otherwise.
  void check_invariants() const;

 private:
  class Impl;
  explicit DiskStore(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// ---- For people: `kvasir cache ...` ----

struct DiskFolderReport {
  std::uint64_t bytes = 0;
  std::uint64_t records = 0;
  std::uint64_t bad_records = 0;  // verify: payload checksums that do not hold too
  std::uint64_t orphans = 0;
  std::uint64_t foreign_segments = 0;           // other versions or byte orders
  std::vector<std::string> problems;            // one line each: segment, offset, what is wrong
  std::vector<DiskConversation> conversations;  // all models; newest first
};

// Reads headers only, or, with `verify_payloads`, everything. `progress` gets 0..1.
Result<DiskFolderReport> inspect_disk_folder(FileSystem& files, const std::string& folder,
                                             bool verify_payloads,
                                             const std::function<void(double)>& progress);
// Removes records until at most `keep_bytes` are left (0: all), least valuable first; returns the bytes given
// back. kUnavailable while another process writes the folder.
Result<std::uint64_t> prune_disk_folder(FileSystem& files, const std::string& folder,
                                        std::uint64_t keep_bytes);
// Writes every sound record into one new file, and adds the sound records of such a file to a folder (those
// that are there already are left out; the next server that opens the folder keeps its budget). Both return
// the number of records. kCorruptData: no export. kUnavailable while another process writes the folder.
Result<std::uint64_t> export_disk_folder(FileSystem& files, const std::string& folder,
                                         const std::string& path);
Result<std::uint64_t> import_disk_folder(FileSystem& files, const std::string& folder,
                                         const std::string& path);

}  // namespace kvasir::kv
