#include "kv/disk_tier.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

#include "base/check.h"

namespace kvasir::kv {
namespace {

using Clock = std::chrono::steady_clock;

// Before the first load has been timed: an ordinary disk. Wrong by a lot does little harm, since one load is
// enough to know better.
constexpr double kAssumedBytesPerSecond = 400e6;
// Opening, seeking, handing over.
constexpr double kLoadOverheadSeconds = 0.002;
// Shorter loads say more of overheads than of the disk.
constexpr std::uint64_t kTimedBytes = std::uint64_t{1} << 20;
constexpr double kNewestWeight = 0.3;

// A state is stored as the KV of a token that cannot occur, behind those that it is of.
struct StateRecord {
  BlockKey parent;
  std::vector<TokenId> tokens;
};

StateRecord state_record(const PrefixTree::BlockView& block) {
  if (block.tokens.size() == kBlockTokens) return {block.key, {kNoToken}};
  StateRecord record{block.parent_key, {block.tokens.begin(), block.tokens.end()}};
  record.tokens.push_back(kNoToken);
  return record;
}

}  // namespace

DiskTier::DiskTier(std::unique_ptr<DiskStore> store, BlockLayout layout, std::size_t block_bytes,
                   DiskTierOptions options)
    : store_(std::move(store)),
      layout_(std::move(layout)),
      block_bytes_(block_bytes),
      options_(std::move(options)),
      read_bytes_per_second_(kAssumedBytesPerSecond) {
  KVASIR_CHECK(packed_bytes(layout_, kBlockTokens) <= block_bytes_, "the layout lies in the block");
  const DiskStats stats = store_->stats();
  stopped_writing_ = stats.read_only || stats.writes_stopped || stats.capacity_bytes == 0;
  write_scratch_.resize(block_bytes_);
  writer_ = std::thread([this] { write_loop(); });
  reader_ = std::thread([this] { read_loop(); });
}

DiskTier::~DiskTier() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    for (const auto& load : loads_) load->cancel();
  }
  write_wake_.notify_one();
  read_wake_.notify_one();
  writer_.join();
  reader_.join();
}

bool DiskTier::writes() const {
  const std::lock_guard lock(mutex_);
  return !stopped_writing_;
}

bool DiskTier::has_room(std::size_t bytes) const {
  const std::lock_guard lock(mutex_);
  // A queue that holds nothing takes one block or state, however large.
  return queued_bytes_ == 0 || queued_bytes_ + bytes <= options_.queue_bytes;
}

bool DiskTier::knows(const PrefixTree::BlockView& block) const {
  {
    const std::lock_guard lock(mutex_);
    if (queued_.contains(block.key)) return true;
  }
  return store_->stored(block.name_space, block.parent_key, block.tokens) == block.tokens.size();
}

void DiskTier::save(const PrefixTree::BlockView& block, std::span<const std::byte> bytes,
                    std::vector<TokenId> before) {
  Write write{std::string(block.name_space),
              block.parent_key,
              block.key,
              {block.tokens.begin(), block.tokens.end()},
              std::move(before),
              {},
              false};
  const auto count = static_cast<std::uint32_t>(block.tokens.size());
  write.packed.resize(packed_bytes(layout_, count));
  pack_tokens(layout_, bytes, 0, count, write.packed);
  queue(std::move(write));
}

bool DiskTier::knows_state(const PrefixTree::BlockView& block) const {
  const StateRecord record = state_record(block);
  {
    const std::lock_guard lock(mutex_);
    if (queued_.contains(store_->options().key_function(record.parent, record.tokens))) return true;
  }
  return store_->stored(block.name_space, record.parent, record.tokens) == record.tokens.size();
}

void DiskTier::save_state(const PrefixTree::BlockView& block,
                          const std::vector<std::span<const std::byte>>& state, std::vector<TokenId> before) {
  StateRecord record = state_record(block);
  const BlockKey key = store_->options().key_function(record.parent, record.tokens);
  Write write{std::string(block.name_space),
              record.parent,
              key,
              std::move(record.tokens),
              std::move(before),
              {},
              true};
  for (const auto part : state) write.packed.insert(write.packed.end(), part.begin(), part.end());
  queue(std::move(write));
}

void DiskTier::queue(Write write) {
  {
    const std::lock_guard lock(mutex_);
    if (stopped_writing_) return;
    queued_bytes_ += write.packed.size();
    queued_.insert(write.key);
    writes_.push_back(std::move(write));
    was_full_ = queued_bytes_ + block_bytes_ > options_.queue_bytes;
  }
  write_wake_.notify_one();
}

void DiskTier::write_loop() {
  auto last_sync = Clock::now();
  const auto sync_after =
      std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(options_.sync_seconds));
  bool dirty = false;
  std::unique_lock lock(mutex_);
  while (true) {
    const auto has_work = [this] { return stopping_ || !writes_.empty() || !errands_.empty(); };
    if (dirty) {
      (void)write_wake_.wait_until(lock, last_sync + sync_after, has_work);
    } else {
      write_wake_.wait(lock, has_work);
    }
    if (!errands_.empty()) {
      run_errands(lock);
      dirty = true;
    }
    if (writes_.empty() && stopping_ && !dirty) return;
    Status status;
    if (!writes_.empty()) {
      const Write next = std::move(writes_.front());
      writes_.pop_front();
      lock.unlock();
      status = write(next);
      lock.lock();
      queued_.erase(next.key);
      queued_bytes_ -= next.packed.size();
      dirty = true;
    }
    if (status.ok() && dirty && (Clock::now() - last_sync >= sync_after || (stopping_ && writes_.empty()))) {
      lock.unlock();
      status = store_->sync();
      last_sync = Clock::now();
      lock.lock();
      dirty = false;
    }
    if (!status.ok()) {
      // The store reads on; nothing more is written. What has been queued is in memory still.
      stopped_writing_ = true;
      writes_.clear();
      queued_.clear();
      queued_bytes_ = 0;
      dirty = false;
    }
    const bool wake =
        std::exchange(was_full_, queued_bytes_ + block_bytes_ > options_.queue_bytes) && !was_full_;
    lock.unlock();
    if (!status.ok() && options_.warn) options_.warn(status.error().message);
    if ((wake || !status.ok()) && options_.wake) options_.wake();
    lock.lock();
  }
}

// With the lock, which is let go while they run.
void DiskTier::run_errands(std::unique_lock<std::mutex>& lock) {
  while (!errands_.empty()) {
    Errand* const errand = errands_.front();
    errands_.pop_front();
    const bool refused = stopping_;
    lock.unlock();
    errand->done.set_value(refused ? make_error(ErrorCode::kUnavailable, "the cache on disk is being closed")
                                   : (*errand->work)(*store_));
    lock.lock();
  }
}

Status DiskTier::maintain(const std::function<Status(DiskStore&)>& work) {
  Errand errand;
  errand.work = &work;
  auto done = errand.done.get_future();
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return make_error(ErrorCode::kUnavailable, "the cache on disk is being closed");
    errands_.push_back(&errand);
  }
  write_wake_.notify_one();
  return done.get();
}

void DiskTier::drop_queued(const NameSpaceFilter& whose) {
  const std::lock_guard lock(mutex_);
  std::erase_if(writes_, [&](const Write& write) {
    if (!admits(whose, write.name_space)) return false;
    queued_.erase(write.key);
    queued_bytes_ -= write.packed.size();
    return true;
  });
}

Status DiskTier::write(const Write& write) {
  const auto count = static_cast<std::uint32_t>(write.tokens.size());
  const std::uint32_t first = store_->stored(write.name_space, write.parent, write.tokens);
  if (first == count) return {};
  if (write.state && first + 1 != count) return {};  // its tokens are gone again
  std::span<const std::byte> payload = write.packed;
  if (first > 0 && !write.state) {
    unpack_tokens(layout_, write.packed, 0, count, write_scratch_);
    write_slice_.resize(packed_bytes(layout_, count - first));
    pack_tokens(layout_, write_scratch_, first, count, write_slice_);
    payload = write_slice_;
  }
  return store_->append(write.name_space, write.parent, write.tokens, first, payload, write.before);
}

DiskMatch DiskTier::match(std::string_view name_space, std::span<const TokenId> tokens, std::uint32_t from) {
  return store_->match(name_space, tokens, from);
}

DiskMatch DiskTier::match_state(std::string_view name_space, std::span<const TokenId> tokens,
                                std::uint32_t from) {
  const std::uint32_t all = store_->match(name_space, tokens, from).tokens;
  std::vector<BlockKey> keys{store_->root_key(name_space)};
  for (std::uint32_t at = 0; at + kBlockTokens <= all; at += kBlockTokens)
    keys.push_back(store_->options().key_function(keys.back(), tokens.subspan(at, kBlockTokens)));
  // Anywhere in the block that the match ends in, and behind every full one.
  for (std::uint32_t at = all; at > from; at -= at % kBlockTokens != 0 ? 1 : kBlockTokens) {
    const std::uint32_t begin = at / kBlockTokens * kBlockTokens;
    std::vector<TokenId> record(tokens.begin() + begin, tokens.begin() + at);
    record.push_back(kNoToken);
    if (store_->stored(name_space, keys[at / kBlockTokens], record) != record.size()) continue;
    std::vector<TokenId> path(tokens.begin(), tokens.begin() + at);
    path.push_back(kNoToken);
    DiskMatch match = store_->match(name_space, path, from);
    if (match.tokens != at + 1) continue;  // dropped meanwhile
    match.tokens = at;
    return match;
  }
  return {from, 0, {}};
}

double DiskTier::load_seconds(std::uint64_t bytes) const {
  const std::lock_guard lock(mutex_);
  return kLoadOverheadSeconds + static_cast<double>(bytes) / read_bytes_per_second_;
}

std::shared_ptr<DiskLoad> DiskTier::load(DiskMatch match, std::vector<std::byte*> blocks,
                                         std::vector<std::byte*> state) {
  KVASIR_CHECK(match.reads.size() == blocks.size() + (state.empty() ? 0 : 1), "every read has its place");
  auto load = std::make_shared<DiskLoad>();
  load->match_ = std::move(match);
  load->blocks_ = std::move(blocks);
  load->state_ = std::move(state);
  {
    const std::lock_guard lock(mutex_);
    loads_.push_back(load);
  }
  read_wake_.notify_one();
  return load;
}

void DiskTier::read_loop() {
  while (true) {
    std::shared_ptr<DiskLoad> load;
    {
      std::unique_lock lock(mutex_);
      read_wake_.wait(lock, [this] { return stopping_ || !loads_.empty(); });
      if (loads_.empty()) return;
      load = std::move(loads_.front());
      loads_.pop_front();
    }
    const auto start = Clock::now();
    run_load(*load);
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    if (load->match_.bytes >= kTimedBytes && load->tokens() == load->match_.tokens && seconds > 0) {
      const std::lock_guard lock(mutex_);
      const double rate = static_cast<double>(load->match_.bytes) / seconds;
      read_bytes_per_second_ += kNewestWeight * (rate - read_bytes_per_second_);
    }
    load->finished_.store(true, std::memory_order_release);
    if (options_.wake) options_.wake();
  }
}

void DiskTier::run_load(DiskLoad& load) {
  for (std::size_t i = 0; i < load.match_.reads.size(); ++i) {
    if (load.cancelled_.load(std::memory_order_relaxed)) return;
    const DiskRead& read = load.match_.reads[i];
    if (i == load.blocks_.size()) {
      if (read_state(read, load.state_)) load.tokens_.store(load.match_.tokens, std::memory_order_release);
      return;
    }
    read_buffer_.resize(packed_bytes(layout_, read.record_last - read.record_first));
    // Gone or unsound: what is before it serves, the rest is computed. The store has counted it.
    if (!store_->read(read.record, read_buffer_).ok()) return;
    // Tokens past read.last, if the record has more, are overwritten by what the sequence computes there.
    unpack_tokens(layout_, read_buffer_, read.record_first, read.record_last,
                  {load.blocks_[i], block_bytes_});
    // Without the state behind them, tokens are of no use.
    if (load.state_.empty())
      load.tokens_.store(read.block_index * kBlockTokens + read.last, std::memory_order_release);
  }
}

bool DiskTier::read_state(const DiskRead& read, std::span<std::byte* const> blocks) {
  read_buffer_.resize(blocks.size() * block_bytes_);
  if (store_->payload_bytes(read.record) != read_buffer_.size()) return false;  // gone
  if (!store_->read(read.record, read_buffer_).ok()) return false;
  for (std::size_t i = 0; i < blocks.size(); ++i)
    std::memcpy(blocks[i], read_buffer_.data() + i * block_bytes_, block_bytes_);
  return true;
}

}  // namespace kvasir::kv
