#pragma once
// Between the engine's loop and the disk tier: which blocks are saved when, and which loads are on their way.
//
// Full blocks are saved as soon as they are in the tree, tails (partial blocks, which more tokens would make
// obsolete) when the engine is idle or ends, when memory evicts them, or, while it is never idle, when
// nothing has come of them for a while. What is saved of a tail is not written again when it grows: it costs
// a record's header, once. A load fills blocks of a sequence's own table; they stay pinned here until the
// reader has let go of them, whatever becomes of the sequence.
//
// Where loading takes long enough, the front of what is on disk is computed while the rest of it loads, so
// that both end at about the same time ("compute or load", Jin et al. 2024).
//
// Owned by the engine's thread.

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "engine/sequence.h"
#include "kv/disk_tier.h"
#include "kv/prefix_tree.h"

namespace kvasir::engine {

// Of `tokens` tokens that take `load_seconds` to load: how many to compute, at `tokens_per_second`, while the
// others load. In whole blocks.
std::uint32_t compute_while_loading(std::uint32_t tokens, double load_seconds, double tokens_per_second);

class DiskLink {
 public:
  // `options`: disk_loads, disk_min_tokens and assumed_prefill_rate are of interest here.
  DiskLink(std::unique_ptr<kv::DiskTier> tier, kv::PrefixTree& tree, const EngineOptions& options);
  ~DiskLink();
  DiskLink(const DiskLink&) = delete;
  DiskLink& operator=(const DiskLink&) = delete;

  // Looks on disk for more of an admitted sequence than the tree had; true when a load has begun
  // (sequence.load).
  bool start_load(Sequence& sequence);
  // Lets go of finished loads, and gives sequences theirs once what is in front has been computed: returns
  // those that have all they can get.
  std::vector<Sequence*> finish_loads(const std::vector<std::unique_ptr<Sequence>>& running);
  bool loading() const { return !loads_.empty(); }

  // Saves what is new in the tree as far as the queue has room; `tails`: all partial blocks too, else those
  // that have waited.
  void save_new(bool tails);
  bool all_saved() const { return unsaved_.empty(); }

  // What a prefill step took.
  void observe_prefill(std::uint32_t tokens, double seconds);

  kv::DiskStats stats() const { return tier_->stats(); }
  kv::DiskTier& tier() { return *tier_; }

 private:
  struct Tail {
    BlockId block{};
    Clock::time_point since;
  };
  struct RunningLoad {
    std::shared_ptr<kv::DiskLoad> load;
    std::vector<BlockId> pins;
  };
  double prefill_rate() const { return assumed_rate_ > 0 ? assumed_rate_ : prefill_tokens_per_second_; }
  bool is_worth_it(const Sequence& sequence, const kv::DiskMatch& match) const;
  bool is_worth_saving(const kv::PrefixTree::BlockView& view) const;
  bool save(BlockId block);
  bool save_state(BlockId block);
  std::vector<TokenId> tokens_before(const kv::PrefixTree::BlockView& block) const;

  const std::unique_ptr<kv::DiskTier> tier_;
  kv::PrefixTree& tree_;
  const DiskLoads policy_;
  const std::uint32_t min_tokens_;
  const double assumed_rate_;  // 0: what has been measured
  std::vector<RunningLoad> loads_;
  std::deque<BlockId> unsaved_;
  std::deque<Tail> tails_;                // oldest first
  double prefill_tokens_per_second_ = 0;  // 0: nothing has been read yet
};

}  // namespace kvasir::engine
