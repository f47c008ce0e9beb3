#pragma once
// The disk tier as the engine uses it: KV goes to disk behind its back, and comes from there while it does
// other things. Two threads of its own: one writes, one reads.
//
// Writing: save() copies a block's tokens into a bounded queue; the writer appends them to the store and
// makes them survive a loss of power every sync_seconds. Reading: load() fills blocks of the pool; their
// owner keeps them in use, private and unread until DiskLoad::finished().
//
// Costs are measured as it runs: load_seconds() is what reading so many bytes would take, by what earlier
// loads took.
//
// Threads: all members are for the engine's thread, but DiskLoad's, which are read there and written by the
// reader, and stats(), store() and maintain(), which are for any other. `wake` is called on the tier's
// threads when a load has finished or the full queue has room again.

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_set>
#include <vector>

#include "base/types.h"
#include "kv/block_layout.h"
#include "kv/disk_store.h"
#include "kv/prefix_tree.h"

namespace kvasir::kv {

struct DiskTierOptions {
  std::size_t queue_bytes = std::size_t{64} << 20;  // KV that waits to be written
  double sync_seconds = 1.0;
  std::function<void()> wake;
  std::function<void(const std::string&)> warn;  // once, when writing stops; on the writer's thread
};

class DiskLoad {
 public:
  bool finished() const { return finished_.load(std::memory_order_acquire); }
  // The KV of all tokens before this one is in its blocks. Final once finished() is true: less than was asked
  // for when a record turned out to be gone or unsound.
  std::uint32_t tokens() const { return tokens_.load(std::memory_order_acquire); }
  // The reader stops at the next record.
  void cancel() { cancelled_.store(true, std::memory_order_relaxed); }

 private:
  friend class DiskTier;
  DiskMatch match_;
  std::vector<std::byte*> blocks_;  // the block of match_.reads[i], each block_bytes long
  std::vector<std::byte*> state_;   // the blocks of the state that the last of match_.reads brings
  std::atomic<std::uint32_t> tokens_{0};
  std::atomic<bool> cancelled_{false};
  std::atomic<bool> finished_{false};
};

class DiskTier {
 public:
  DiskTier(std::unique_ptr<DiskStore> store, BlockLayout layout, std::size_t block_bytes,
           DiskTierOptions options);
  // Writes what is queued, and syncs. Loads still running are given up.
  ~DiskTier();
  DiskTier(const DiskTier&) = delete;
  DiskTier& operator=(const DiskTier&) = delete;

  bool writes() const;                     // false when the store is read-only or has stopped writing
  bool has_room(std::size_t bytes) const;  // so much may be saved
  // It is on disk, or on its way there.
  bool knows(const PrefixTree::BlockView& block) const;
  // Queues a block whose parent is known: `bytes` of it, and every token in front of it.
  void save(const PrefixTree::BlockView& block, std::span<const std::byte> bytes,
            std::vector<TokenId> before);

  // The same of the state behind a block, whose own tokens are known: its blocks' bytes, and every token up
  // to the full block that it or its tail follows.
  bool knows_state(const PrefixTree::BlockView& block) const;
  void save_state(const PrefixTree::BlockView& block, const std::vector<std::span<const std::byte>>& state,
                  std::vector<TokenId> before);

  DiskMatch match(std::string_view name_space, std::span<const TokenId> tokens, std::uint32_t from);
  // The longest that ends where a state is stored; the last of its reads is the state.
  DiskMatch match_state(std::string_view name_space, std::span<const TokenId> tokens, std::uint32_t from);
  double load_seconds(std::uint64_t bytes) const;
  // `blocks[i]` is where match.reads[i] goes, `state` the blocks of the state behind them, of match_state().
  std::shared_ptr<DiskLoad> load(DiskMatch match, std::vector<std::byte*> blocks,
                                 std::vector<std::byte*> state = {});

  // Takes what waits to be written for these namespaces out of the queue.
  void drop_queued(const NameSpaceFilter& whose);

  DiskStats stats() const { return store_->stats(); }
  DiskStore& store() const { return *store_; }
  // Runs `work`, a short piece of it, on the writer's thread between two writes, and waits; what it appended
  // is synced as any write. kUnavailable when the tier ends first.
  Status maintain(const std::function<Status(DiskStore&)>& work);

 private:
  struct Errand {
    const std::function<Status(DiskStore&)>* work = nullptr;
    std::promise<Status> done;
  };
  struct Write {
    std::string name_space;
    BlockKey parent;
    BlockKey key;
    std::vector<TokenId> tokens;
    std::vector<TokenId> before;
    std::vector<std::byte> packed;
    bool state = false;
  };
  struct KeyHash {
    std::size_t operator()(const BlockKey& key) const { return static_cast<std::size_t>(key.low); }
  };

  void queue(Write write);
  bool read_state(const DiskRead& read, std::span<std::byte* const> blocks);
  void write_loop();
  void run_errands(std::unique_lock<std::mutex>& lock);
  Status write(const Write& write);
  void read_loop();
  void run_load(DiskLoad& load);

  const std::unique_ptr<DiskStore> store_;
  const BlockLayout layout_;
  const std::size_t block_bytes_;
  const DiskTierOptions options_;

  mutable std::mutex mutex_;  // guards all below it, never held during I/O
  std::condition_variable write_wake_;
  std::condition_variable read_wake_;
  std::deque<Write> writes_;
  std::size_t queued_bytes_ = 0;  // of writes_ and the one that is being written
  std::unordered_set<BlockKey, KeyHash> queued_;
  bool was_full_ = false;
  bool stopped_writing_ = false;
  std::deque<Errand*> errands_;
  std::deque<std::shared_ptr<DiskLoad>> loads_;
  double read_bytes_per_second_;
  bool stopping_ = false;

  std::vector<std::byte> write_scratch_;  // the writer's
  std::vector<std::byte> write_slice_;
  std::vector<std::byte> read_buffer_;  // the reader's

  std::thread writer_;  // last: they start when everything else is there
  std::thread reader_;
};

}  // namespace kvasir::kv
