#pragma once
// What this server has generated: an assistant turn as a client sends it back -> the tokens that were sampled
// for it, without the token that ended it. A model may sample tokens that its text does not tokenise to, and
// clients write calls anew; without this table such a turn, and all behind it, would be read again.
//
// Bounded in entries and bytes; the least recently used go. The first tokens recorded for a key stay: a
// conversation that already goes on from them must not change.
//
// With a file (docs/formats/replay-log.md) the table outlives the process. A thread of its own writes, so
// that record() never waits for a disk, and syncs every sync_seconds while there is something new: a turn
// survives a loss of power as its KV does. A failed write costs the memory of one turn after a restart and
// nothing else, and is counted.
//
// Threads: every member may be called from any thread.

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/error.h"
#include "base/file_system.h"
#include "base/types.h"
#include "chat/replay_key.h"

namespace kvasir::chat {

class ReplayLog;

struct ReplayLimits {
  std::size_t entries = 65'536;
  std::size_t bytes = std::size_t{64} << 20;  // keys and tokens
  double sync_seconds = 1.0;
};

struct ReplayEntry {
  ReplayKey key;
  std::vector<TokenId> tokens;
};

struct ReplayStats {
  std::uint64_t entries = 0;
  std::uint64_t bytes = 0;
  std::uint64_t recorded = 0;
  std::uint64_t evicted = 0;
  std::uint64_t loaded = 0;           // records taken from the file
  std::uint64_t skipped_torn = 0;     // stretches of the file whose checksums do not hold
  std::uint64_t skipped_foreign = 0;  // records of another model
  std::uint64_t write_errors = 0;
  std::uint64_t compactions = 0;
  std::uint64_t syncs = 0;
  std::uint64_t log_bytes = 0;
  bool read_only = false;  // another process writes the file
};

class ReplayTable {
 public:
  // In memory only.
  explicit ReplayTable(ReplayLimits limits = {});
  // With the file at `path`, made where it is missing; its folder must be there. `root` names everything that
  // tokens depend on (model, tokenizer): records of another root are left out. A damaged file is read as far
  // as it is whole and is no error; errors are those of opening and reading. `files` outlives the table.
  static Result<std::shared_ptr<ReplayTable>> open(FileSystem& files, const std::string& path,
                                                   const std::string& root, ReplayLimits limits = {});
  // Writes out what is pending.
  ~ReplayTable();
  ReplayTable(const ReplayTable&) = delete;
  ReplayTable& operator=(const ReplayTable&) = delete;

  // Never blocks on a file, never fails: what is too large for the table is not kept.
  void record(ReplayKey key, std::span<const TokenId> tokens);
  // Null where the turn is not known.
  std::shared_ptr<const ReplayEntry> find(const ReplayKey& key);

  // Lets go of the turns of some namespaces, in the file too (its old content is replaced behind this call);
  // returns how many.
  std::uint64_t forget(const std::function<bool(std::string_view name_space)>& whose);

  ReplayStats stats() const;
  // Waits until everything recorded so far is in the file (or has failed).
  void flush();

 private:
  using Entry = std::shared_ptr<const ReplayEntry>;
  using Order = std::list<Entry>;  // most recently used first
  struct Hash {
    std::size_t operator()(const ReplayKey& key) const;
  };

  void insert(Entry entry);
  void evict();
  void remove(Order::iterator entry);
  void write_pending();
  std::uint64_t append_all(const std::deque<Entry>& batch);
  bool wants_compaction(std::uint64_t compact_at) const;
  std::vector<Entry> snapshot() const;

  const ReplayLimits limits_;
  mutable std::mutex mutex_;
  Order order_;
  std::unordered_map<ReplayKey, Order::iterator, Hash> index_;
  ReplayStats stats_;
  std::uint64_t record_bytes_ = 0;  // what the living entries need in the file

  // The writing side; log_ is the thread's alone once it runs.
  std::unique_ptr<ReplayLog> log_;
  std::deque<Entry> pending_;
  bool writing_ = false;
  bool forgotten_ = false;  // the file still has what forget() let go of
  bool stopping_ = false;
  std::condition_variable wake_;
  std::condition_variable written_;
  std::thread writer_;
};

}  // namespace kvasir::chat
