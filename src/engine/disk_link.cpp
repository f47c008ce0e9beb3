#include "engine/disk_link.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace kvasir::engine {
namespace {

constexpr double kNewestWeight = 0.2;
// By then an agent has come back with its next turn, or thinks.
constexpr std::chrono::seconds kTailPatience{2};
// Steps of fewer tokens say more of what else was in the batch.
constexpr std::uint32_t kTimedTokens = 32;

}  // namespace

DiskLink::DiskLink(std::unique_ptr<kv::DiskTier> tier, kv::PrefixTree& tree, const EngineOptions& options)
    : tier_(std::move(tier)),
      tree_(tree),
      policy_(options.disk_loads),
      min_tokens_(options.disk_min_tokens),
      assumed_rate_(options.assumed_prefill_rate) {
  tree_.on_eviction([this](BlockId block) {
    const auto view = tree_.view(block);
    // Where the queue is full, memory is evicting faster than the disk takes it.
    if (tier_->writes() && view && is_worth_saving(*view)) (void)save(block);
  });
}

DiskLink::~DiskLink() {
  tree_.on_eviction({});
}

void DiskLink::observe_prefill(std::uint32_t tokens, double seconds) {
  if (tokens < kTimedTokens || seconds <= 0) return;
  const double rate = tokens / seconds;
  if (prefill_tokens_per_second_ == 0) prefill_tokens_per_second_ = rate;
  prefill_tokens_per_second_ += kNewestWeight * (rate - prefill_tokens_per_second_);
}

std::uint32_t compute_while_loading(std::uint32_t tokens, double load_seconds, double tokens_per_second) {
  // x / rate = load_seconds * (tokens - x) / tokens
  const double computed_meanwhile = load_seconds * tokens_per_second;
  const double x = computed_meanwhile * tokens / (computed_meanwhile + tokens);
  return static_cast<std::uint32_t>(x) / kBlockTokens * kBlockTokens;
}

bool DiskLink::is_worth_it(const Sequence& sequence, const kv::DiskMatch& match) const {
  if (match.tokens <= sequence.computed) return false;
  if (policy_ == DiskLoads::kAlways || prefill_rate() == 0) return true;
  return tier_->load_seconds(match.bytes) < (match.tokens - sequence.computed) / prefill_rate();
}

bool DiskLink::start_load(Sequence& sequence) {
  if (!sequence.reads_cache() || sequence.length() < 2) return false;
  const std::uint32_t from = sequence.computed / kBlockTokens * kBlockTokens;
  // The last token's logits are wanted, so it is read in any case.
  const bool has_state = sequence.table.keeps_states();
  const std::string& name_space = sequence.request.cache_namespace;
  const auto tokens = std::span<const TokenId>(sequence.tokens).first(sequence.length() - 1);
  kv::DiskMatch match =
      has_state ? tier_->match_state(name_space, tokens, from) : tier_->match(name_space, tokens, from);
  if (!is_worth_it(sequence, match) || !sequence.table.reserve(match.tokens)) return false;
  sequence.load_begin = sequence.computed;
  // Behind a state, nothing in front of it is needed but KV.
  if (policy_ == DiskLoads::kMeasured && !has_state) {
    const std::uint32_t meanwhile =
        compute_while_loading(match.tokens - from, tier_->load_seconds(match.bytes), prefill_rate());
    if (meanwhile > 0) {
      sequence.load_begin = from + meanwhile;
      const std::size_t all = match.reads.size();
      std::erase_if(match.reads, [&](const kv::DiskRead& read) {
        return read.block_index < sequence.load_begin / kBlockTokens;
      });
      match.bytes = match.bytes * match.reads.size() / all;
    }
  }
  RunningLoad running;
  std::vector<std::byte*> memory;
  const auto pin = [&](BlockId block) {
    tree_.pool().add_user(block);
    running.pins.push_back(block);
    return tree_.pool().bytes(block);
  };
  for (std::size_t i = 0; i + (has_state ? 1 : 0) < match.reads.size(); ++i)
    memory.push_back(pin(sequence.table.blocks()[match.reads[i].block_index]));
  std::vector<std::byte*> state;
  for (const BlockId block : sequence.table.state_out()) state.push_back(pin(block));
  running.load = tier_->load(std::move(match), std::move(memory), std::move(state));
  sequence.load = running.load;
  loads_.push_back(std::move(running));
  return true;
}

std::vector<Sequence*> DiskLink::finish_loads(const std::vector<std::unique_ptr<Sequence>>& running) {
  for (RunningLoad& ended : loads_) {
    if (!ended.load->finished()) continue;
    for (const BlockId block : ended.pins) tree_.pool().drop_user(block);
    const auto owner = std::ranges::find_if(running, [&](const auto& s) { return s->load == ended.load; });
    if (owner != running.end()) {
      (*owner)->load = nullptr;
      // Where nothing came, all of it is computed.
      (*owner)->load_end = std::max(ended.load->tokens(), (*owner)->load_begin);
    }
    ended.load = nullptr;
  }
  std::erase_if(loads_, [](const RunningLoad& l) { return l.load == nullptr; });

  std::vector<Sequence*> ready;
  for (const auto& sequence : running) {
    if (sequence->load != nullptr || sequence->load_end == 0 || sequence->computed < sequence->load_begin)
      continue;
    const std::uint32_t before = std::exchange(sequence->computed, sequence->load_end);
    sequence->loaded_tokens += sequence->count_found(before);
    sequence->load_begin = sequence->load_end = 0;
    sequence->table.mark(sequence->computed / kBlockTokens * kBlockTokens);
    sequence->table.commit(sequence->tokens, sequence->computed);
    ready.push_back(sequence.get());
  }
  return ready;
}

void DiskLink::save_new(bool tails) {
  for (const BlockId block : tree_.take_new()) {
    const auto view = tree_.view(block);
    if (!view || !is_worth_saving(*view)) continue;
    if (view->tokens.size() == kBlockTokens) {
      unsaved_.push_back(block);
    } else {
      tails_.push_back({block, Clock::now()});
    }
  }
  const auto due = Clock::now() - kTailPatience;
  for (; !tails_.empty() && (tails || tails_.front().since <= due); tails_.pop_front()) {
    unsaved_.push_back(tails_.front().block);
  }
  if (!tier_->writes()) unsaved_.clear();
  // Blocks that come faster than the disk takes them stay listed, evicted ones drop out when their turn
  // comes; a list longer than the pool names some of them twice.
  const std::size_t most = tree_.pool().counts().total;
  while (unsaved_.size() > most) unsaved_.pop_front();
  while (tails_.size() > most) tails_.pop_front();
  while (!unsaved_.empty() && save(unsaved_.front())) unsaved_.pop_front();
}

// A longer path that grows from a short one takes it along: see save().
bool DiskLink::is_worth_saving(const kv::PrefixTree::BlockView& view) const {
  return view.depth * kBlockTokens + view.tokens.size() >= min_tokens_;
}

// The tokens in front of a block of the tree.
std::vector<TokenId> DiskLink::tokens_before(const kv::PrefixTree::BlockView& block) const {
  std::vector<TokenId> before(std::size_t{block.depth} * kBlockTokens);
  auto end = before.end();
  for (std::optional<BlockId> at = block.parent; at;) {
    const auto above = tree_.view(*at);
    end = std::copy_backward(above->tokens.begin(), above->tokens.end(), end);
    at = above->parent;
  }
  return before;
}

// False when the queue is full: the block's turn comes again.
bool DiskLink::save(BlockId block) {
  while (true) {
    // From the first ancestor that the disk does not have: it may have dropped what memory still holds.
    std::optional<BlockId> next;
    for (std::optional<BlockId> at = block; at;) {
      const auto view = tree_.view(*at);
      if (!view) return true;  // evicted meanwhile
      if (tier_->knows(*view)) break;
      next = at;
      at = view->parent;
    }
    if (!next) return save_state(block);
    if (!tier_->has_room(tree_.pool().block_bytes())) return false;
    const auto view = tree_.view(*next);
    tier_->save(*view, {tree_.pool().bytes(*next), tree_.pool().block_bytes()}, tokens_before(*view));
    if (!tier_->writes()) return true;
  }
}

bool DiskLink::save_state(BlockId block) {
  const auto state = tree_.state_of(block);
  const auto view = tree_.view(block);
  if (state.empty() || !tier_->writes() || tier_->knows_state(*view)) return true;
  if (!tier_->has_room(state.size() * tree_.pool().block_bytes())) return false;
  std::vector<std::span<const std::byte>> parts;
  for (const BlockId part : state) parts.emplace_back(tree_.pool().bytes(part), tree_.pool().block_bytes());
  std::vector<TokenId> before = tokens_before(*view);
  if (view->tokens.size() == kBlockTokens)
    before.insert(before.end(), view->tokens.begin(), view->tokens.end());
  tier_->save_state(*view, parts, std::move(before));
  return true;
}

}  // namespace kvasir::engine
