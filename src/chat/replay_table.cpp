#include "chat/replay_table.h"

#include <xxhash.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "chat/replay_log.h"

namespace kvasir::chat {
namespace {

// Below this a file is not worth writing anew.
constexpr std::uint64_t kCompactBytesMin = std::uint64_t{1} << 20;
// What an entry takes besides its key and tokens: list and map nodes, the key's copy apart.
constexpr std::size_t kEntryOverheadBytes = 200;

// Keys are held twice: in the entry and in the index.
std::size_t bytes_of(const ReplayEntry& entry) {
  return 2 * entry.key.size() + entry.tokens.size() * sizeof(TokenId) + kEntryOverheadBytes;
}

}  // namespace

std::size_t ReplayTable::Hash::operator()(const ReplayKey& key) const {
  return XXH3_64bits(key.data(), key.size());
}

ReplayTable::ReplayTable(ReplayLimits limits) : limits_(limits) {}

Result<std::shared_ptr<ReplayTable>> ReplayTable::open(FileSystem& files, const std::string& path,
                                                       const std::string& root, ReplayLimits limits) {
  auto table = std::make_shared<ReplayTable>(limits);
  const auto take = [&table](ReplayEntry entry) {
    // A key that was forgotten and recorded again: the later tokens are those in use.
    if (const auto known = table->index_.find(entry.key); known != table->index_.end()) {
      table->remove(known->second);
    }
    table->insert(std::make_shared<const ReplayEntry>(std::move(entry)));
  };
  KVASIR_ASSIGN_OR_RETURN(table->log_, ReplayLog::open(files, path, root, take));
  table->stats_.loaded = table->log_->counts().loaded;
  table->stats_.skipped_torn = table->log_->counts().torn;
  table->stats_.skipped_foreign = table->log_->counts().foreign;
  table->stats_.log_bytes = table->log_->bytes();
  table->stats_.read_only = table->log_->read_only();
  if (!table->log_->read_only()) {
    table->writer_ = std::thread([raw = table.get()] { raw->write_pending(); });
  }
  return table;
}

ReplayTable::~ReplayTable() {
  if (!writer_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  writer_.join();
}

void ReplayTable::record(ReplayKey key, std::span<const TokenId> tokens) {
  auto entry = std::make_shared<const ReplayEntry>(
      ReplayEntry{std::move(key), std::vector<TokenId>(tokens.begin(), tokens.end())});
  if (ReplayLog::record_bytes(*entry) == 0 || bytes_of(*entry) > limits_.bytes) return;
  {
    const std::lock_guard lock(mutex_);
    if (index_.contains(entry->key)) return;
    insert(entry);
    ++stats_.recorded;
    if (!writer_.joinable()) return;
    // A disk that does not keep up costs the oldest turns after a restart, not memory.
    if (pending_.size() >= limits_.entries) {
      ++stats_.write_errors;
      pending_.pop_front();
    }
    pending_.push_back(std::move(entry));
  }
  wake_.notify_one();
}

std::shared_ptr<const ReplayEntry> ReplayTable::find(const ReplayKey& key) {
  const std::lock_guard lock(mutex_);
  const auto found = index_.find(key);
  if (found == index_.end()) return nullptr;
  order_.splice(order_.begin(), order_, found->second);
  return *found->second;
}

ReplayStats ReplayTable::stats() const {
  const std::lock_guard lock(mutex_);
  ReplayStats stats = stats_;
  stats.entries = order_.size();
  return stats;
}

void ReplayTable::flush() {
  std::unique_lock lock(mutex_);
  written_.wait(lock, [this] { return pending_.empty() && !forgotten_ && !writing_; });
}

void ReplayTable::insert(Entry entry) {
  stats_.bytes += bytes_of(*entry);
  record_bytes_ += ReplayLog::record_bytes(*entry);
  order_.push_front(std::move(entry));
  index_.emplace(order_.front()->key, order_.begin());
  evict();
}

void ReplayTable::evict() {
  while (order_.size() > limits_.entries || stats_.bytes > limits_.bytes) {
    remove(std::prev(order_.end()));
    ++stats_.evicted;
  }
}

void ReplayTable::remove(Order::iterator entry) {
  stats_.bytes -= bytes_of(**entry);
  record_bytes_ -= ReplayLog::record_bytes(**entry);
  index_.erase((*entry)->key);
  order_.erase(entry);
}

// Least recently used first, as they are to be in the file. The mutex is held.
std::vector<ReplayTable::Entry> ReplayTable::snapshot() const {
  return {order_.rbegin(), order_.rend()};
}

std::uint64_t ReplayTable::forget(const std::function<bool(std::string_view)>& whose) {
  std::uint64_t gone = 0;
  {
    const std::lock_guard lock(mutex_);
    for (auto entry = order_.begin(); entry != order_.end();) {
      const auto next = std::next(entry);
      if (whose(namespace_of((*entry)->key))) {
        remove(entry);
        ++gone;
      }
      entry = next;
    }
    std::erase_if(pending_, [&](const Entry& entry) { return whose(namespace_of(entry->key)); });
    if (gone > 0) forgotten_ = writer_.joinable();
  }
  wake_.notify_one();
  return gone;
}

// On the writer's thread, without the mutex; returns how many failed.
std::uint64_t ReplayTable::append_all(const std::deque<Entry>& batch) {
  std::uint64_t failed = 0;
  for (const Entry& entry : batch) failed += log_->append(*entry).ok() ? 0 : 1;
  return failed;
}

// The mutex is held. `compact_at`: after a failed attempt, not before the file has grown to this.
bool ReplayTable::wants_compaction(std::uint64_t compact_at) const {
  if (forgotten_) return true;
  return log_->bytes() >= std::max(kCompactBytesMin, compact_at) && log_->bytes() >= 2 * record_bytes_;
}

void ReplayTable::write_pending() {
  using Clock = std::chrono::steady_clock;
  const auto sync_after =
      std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(limits_.sync_seconds));
  auto last_sync = Clock::now();
  bool unsynced = true;  // a new file's name is
  std::uint64_t compact_at = 0;
  std::unique_lock lock(mutex_);
  const auto has_work = [this] { return stopping_ || forgotten_ || !pending_.empty(); };
  for (;;) {
    if (unsynced) {
      (void)wake_.wait_until(lock, last_sync + sync_after, has_work);
    } else {
      wake_.wait(lock, has_work);
    }
    if (!pending_.empty() || forgotten_) {
      writing_ = true;
      const std::deque<Entry> batch = std::exchange(pending_, {});
      lock.unlock();
      const std::uint64_t failed = append_all(batch);
      lock.lock();
      unsynced = unsynced || !batch.empty();
      if (wants_compaction(compact_at)) {
        std::vector<Entry> living = snapshot();
        forgotten_ = false;
        lock.unlock();
        const bool compacted = log_->compact(living).ok();
        if (!compacted) compact_at = 2 * log_->bytes();
        living.clear();
        lock.lock();
        ++(compacted ? stats_.compactions : stats_.write_errors);
      }
      stats_.write_errors += failed;
      stats_.log_bytes = log_->bytes();
      writing_ = false;
      written_.notify_all();
    }
    const bool last = stopping_ && pending_.empty();
    if (unsynced && (last || Clock::now() - last_sync >= sync_after)) {
      lock.unlock();
      const bool synced = log_->sync().ok();
      last_sync = Clock::now();
      lock.lock();
      unsynced = false;  // one that failed is not asked again: the system may have dropped what it covered
      ++(synced ? stats_.syncs : stats_.write_errors);
    }
    if (last) return;
  }
}

}  // namespace kvasir::chat
