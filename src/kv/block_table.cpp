#include "kv/block_table.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/check.h"

namespace kvasir::kv {
namespace {

// In place of a state's tokens: the state is lost.
constexpr std::uint32_t kLost = std::numeric_limits<std::uint32_t>::max();

}  // namespace

BlockTable::BlockTable(PrefixTree& tree, std::string name_space, bool reads_cache)
    : tree_(tree), name_space_(std::move(name_space)), reads_cache_(reads_cache) {}

BlockTable::~BlockTable() {
  release();
}

std::optional<BlockId> BlockTable::parent_of(std::uint32_t index) const {
  return index == 0 ? std::nullopt : std::optional(blocks_[index - 1]);
}

std::uint32_t BlockTable::demand(std::span<const TokenId> tokens, std::uint32_t capacity) const {
  const std::uint32_t wanted = blocks_for(capacity);
  if (!reads_cache_) return wanted + tree_.state_shape().blocks;
  const MatchResult match = tree_.match(name_space_, tokens.first(tokens.size() - 1));
  const auto shared = static_cast<std::uint32_t>(match.blocks.size());
  std::uint32_t for_states = tree_.state_shape().blocks;
  if (keeps_states() && match.tokens() > 0) {
    const auto state = tree_.state_of(match.partial ? *match.partial : match.blocks.back());
    if (tree_.pool().users(state.front()) == 0) for_states *= 2;
  }
  // A shared block that nobody uses yet can no longer be evicted once it is taken.
  const auto taken =
      std::ranges::count_if(match.blocks, [this](BlockId block) { return tree_.pool().users(block) == 0; });
  return wanted - std::min(shared, wanted) + static_cast<std::uint32_t>(taken) + for_states;
}

std::uint32_t BlockTable::open(std::span<const TokenId> tokens) {
  KVASIR_CHECK(blocks_.empty() && !tokens.empty(), "a table is opened once, for some tokens");
  if (!reads_cache_) return 0;
  const MatchResult match = tree_.match(name_space_, tokens.first(tokens.size() - 1));
  for (const BlockId block : match.blocks) {
    tree_.pool().add_user(block);
    tree_.touch(block);
    blocks_.push_back(block);
  }
  committed_ = static_cast<std::uint32_t>(blocks_.size());
  known_blocks_ = match.known_blocks;
  if (keeps_states() && match.tokens() > 0) {
    read_state_of(match.partial ? *match.partial : match.blocks.back(), match.tokens());
  }
  if (!match.partial) return match.full_tokens();

  // The source is pinned: making room for the copy must not evict it.
  tree_.pool().add_user(*match.partial);
  tree_.touch(*match.partial);
  const auto copy = tree_.allocate();
  if (copy) {
    tree_.pool().copy(*match.partial, *copy);
    blocks_.push_back(*copy);
  }
  tree_.pool().drop_user(*match.partial);
  if (!copy && keeps_states()) return cut_to_state();
  return copy ? match.tokens() : match.full_tokens();
}

// Without room for the partial block, whose state it was: back to a full block that has one.
std::uint32_t BlockTable::cut_to_state() {
  release_states();
  while (!blocks_.empty() && tree_.state_of(blocks_.back()).empty()) {
    tree_.pool().drop_user(blocks_.back());
    blocks_.pop_back();
  }
  committed_ = static_cast<std::uint32_t>(blocks_.size());
  const std::uint32_t tokens = committed_ * kBlockTokens;
  if (tokens > 0) read_state_of(blocks_.back(), tokens);
  return tokens;
}

void BlockTable::read_state_of(BlockId block, std::uint32_t tokens) {
  release_states();
  const auto state = tree_.state_of(block);
  for (const BlockId part : state) tree_.pool().add_user(part);
  state_.assign(state.begin(), state.end());
  state_tokens_ = tokens;
}

void BlockTable::release_states() {
  for (const BlockId part : state_) tree_.pool().drop_user(part);
  for (const BlockId part : next_state_) tree_.pool().drop_user(part);
  state_.clear();
  next_state_.clear();
  owns_state_ = false;
  state_tokens_ = 0;
}

void BlockTable::drop_state() {
  release_states();
  state_tokens_ = kLost;
}

std::uint32_t BlockTable::state_demand() const {
  return owns_state_ ? 0 : tree_.state_shape().blocks - static_cast<std::uint32_t>(next_state_.size());
}

void BlockTable::mark(std::uint32_t tokens) {
  KVASIR_CHECK(tokens % kBlockTokens == 0, "states are kept behind full blocks");
  if (!keeps_states() || tokens == 0) return;
  const auto place = std::ranges::lower_bound(marks_, tokens);
  if (place == marks_.end() || *place != tokens) marks_.insert(place, tokens);
}

bool BlockTable::is_mark(std::uint32_t tokens) const {
  return tokens % (tree_.state_shape().every * kBlockTokens) == 0 ||
         std::ranges::binary_search(marks_, tokens);
}

std::uint32_t BlockTable::until_mark(std::uint32_t computed) const {
  if (!keeps_states()) return std::numeric_limits<std::uint32_t>::max();
  const std::uint32_t run = tree_.state_shape().every * kBlockTokens;
  std::uint32_t next = (computed / run + 1) * run;
  const auto marked = std::ranges::upper_bound(marks_, computed);
  if (marked != marks_.end()) next = std::min(next, *marked);
  return next - computed;
}

// A step has written the state behind `computed` tokens.
void BlockTable::advance_state(std::uint32_t computed) {
  if (!keeps_states() || state_tokens_ == computed || state_tokens_ == kLost) return;
  if (!owns_state_) {
    KVASIR_CHECK(next_state_.size() == tree_.state_shape().blocks, "a step has written a state");
    for (const BlockId part : state_) tree_.pool().drop_user(part);
    state_ = std::exchange(next_state_, {});
    owns_state_ = true;
  }
  state_tokens_ = computed;
}

// The tree keeps the state behind `block`, a node of it, where it is the one that we have; ours is the tree's
// from then on.
void BlockTable::keep_state(BlockId block, std::uint32_t computed) {
  if (state_tokens_ != computed || state_.empty()) return;
  if (!tree_.state_of(block).empty()) {
    if (owns_state_) read_state_of(block, computed);  // the same bits
  } else if (!tree_.pool().held(state_.front())) {
    tree_.keep_state(block, state_);
    owns_state_ = false;
  }
}

std::uint32_t BlockTable::adopt(std::span<const TokenId> tokens, std::uint32_t computed) {
  if (!reads_cache_ || detached_) return computed;
  if (keeps_states()) return adopt_with_state(tokens, computed);
  while (true) {
    const std::uint32_t index = computed / kBlockTokens;
    const std::size_t begin = std::size_t{index} * kBlockTokens;
    if (begin + kBlockTokens >= tokens.size()) return computed;
    KVASIR_CHECK(committed_ == index, "computed full blocks are in the tree");
    const auto found = tree_.find_child(name_space_, parent_of(index), tokens.subspan(begin, kBlockTokens));
    if (!found) return computed;
    tree_.pool().add_user(*found);
    tree_.touch(*found);
    if (index < blocks_.size()) {
      tree_.pool().drop_user(blocks_[index]);  // our own, not yet full
      blocks_[index] = *found;
    } else {
      blocks_.push_back(*found);
    }
    ++committed_;
    computed = (index + 1) * kBlockTokens;
  }
}

// As far as a block with a state behind it.
std::uint32_t BlockTable::adopt_with_state(std::span<const TokenId> tokens, std::uint32_t computed) {
  const std::uint32_t begin = computed / kBlockTokens;
  KVASIR_CHECK(committed_ == begin, "computed full blocks are in the tree");
  std::vector<BlockId> found;
  std::size_t with_state = 0;
  std::optional<BlockId> parent = parent_of(begin);
  for (std::size_t at = std::size_t{begin} * kBlockTokens; at + kBlockTokens < tokens.size();
       at += kBlockTokens) {
    parent = tree_.find_child(name_space_, parent, tokens.subspan(at, kBlockTokens));
    if (!parent) break;
    found.push_back(*parent);
    if (!tree_.state_of(*parent).empty()) with_state = found.size();
  }
  for (std::size_t i = 0; i < with_state; ++i, ++committed_) {
    tree_.pool().add_user(found[i]);
    tree_.touch(found[i]);
    if (committed_ < blocks_.size()) {
      tree_.pool().drop_user(blocks_[committed_]);
      blocks_[committed_] = found[i];
    } else {
      blocks_.push_back(found[i]);
    }
  }
  if (with_state == 0) return computed;
  read_state_of(found[with_state - 1], committed_ * kBlockTokens);
  return committed_ * kBlockTokens;
}

bool BlockTable::shares_all_before(const BlockTable& other, std::uint32_t index) const {
  if (!reads_cache_ || !other.reads_cache_ || name_space_ != other.name_space_) return false;
  if (committed_ < index || other.committed_ < index) return false;
  // A node of the tree names its whole path.
  return index == 0 || blocks_[index - 1] == other.blocks_[index - 1];
}

bool BlockTable::copy_from(const BlockTable& other, std::uint32_t index) {
  KVASIR_CHECK(index == committed_ && index < other.blocks_.size() && shares_all_before(other, index),
               "a block is copied behind the same tokens");
  if (!reserve((index + 1) * kBlockTokens)) return false;
  tree_.pool().copy(other.blocks_[index], blocks_[index]);
  return true;
}

bool BlockTable::reserve(std::uint32_t capacity) {
  while (blocks_.size() < blocks_for(capacity)) {
    const auto block = tree_.allocate();
    if (!block) return false;
    blocks_.push_back(*block);
  }
  while (keeps_states() && state_demand() > 0) {
    const auto block = tree_.allocate();
    if (!block) return false;
    next_state_.push_back(*block);
  }
  return true;
}

void BlockTable::commit(std::span<const TokenId> tokens, std::uint32_t computed) {
  KVASIR_CHECK(computed <= tokens.size() && blocks_for(computed) <= blocks_.size(),
               "computed tokens lie in the table's blocks");
  advance_state(computed);
  if (!reads_cache_) return;  // taking the tree's copy would be reading the cache: see offer_all()
  for (; !detached_ && committed_ < computed / kBlockTokens; ++committed_) {
    const BlockId own = blocks_[committed_];
    const auto here = tokens.subspan(std::size_t{committed_} * kBlockTokens, kBlockTokens);
    const InsertResult result = tree_.insert(name_space_, parent_of(committed_), here, own);
    if (result.outcome == InsertOutcome::kCollision) {
      detached_ = true;
      return;
    }
    if (result.outcome == InsertOutcome::kInserted) continue;
    tree_.pool().add_user(result.block);
    tree_.pool().drop_user(own);
    blocks_[committed_] = result.block;
  }
  if (keeps_states() && computed > 0 && computed == committed_ * kBlockTokens && is_mark(computed))
    keep_state(blocks_[committed_ - 1], computed);
}

void BlockTable::offer_all(std::span<const TokenId> tokens, std::uint32_t computed) {
  // Nothing is allocated on the way, so nodes that we do not use stay where they are.
  std::optional<BlockId> parent;
  for (std::uint32_t begin = 0; begin < computed; begin += kBlockTokens) {
    const auto here = tokens.subspan(begin, std::min(kBlockTokens, computed - begin));
    const auto result = tree_.insert(name_space_, parent, here, blocks_[begin / kBlockTokens]);
    if (result.outcome == InsertOutcome::kCollision) return;
    parent = result.block;
    const bool whole = tree_.view(result.block)->tokens.size() == here.size();
    if (begin + here.size() == computed && whole && keeps_states()) keep_state(result.block, computed);
  }
}

void BlockTable::close(std::span<const TokenId> tokens, std::uint32_t computed) {
  commit(tokens, computed);
  const std::uint32_t tail = computed % kBlockTokens;
  const bool has_state = !keeps_states() || (state_tokens_ == computed && !state_.empty());
  if (!reads_cache_) {
    offer_all(tokens, computed);
  } else if (!detached_ && tail != 0 && has_state) {
    const std::uint32_t index = computed / kBlockTokens;
    const auto here = tokens.subspan(computed - tail, tail);
    const auto result = tree_.insert(name_space_, parent_of(index), here, blocks_[index]);
    // Kept or not, there is nothing more to do: a block that has these tokens already serves as well, but it
    // has the state behind its own last token.
    const bool kept = result.outcome != InsertOutcome::kCollision;
    if (keeps_states() && kept && tree_.view(result.block)->tokens.size() == tail)
      keep_state(result.block, computed);
  } else if (!detached_ && computed != 0 && has_state && keeps_states()) {
    keep_state(blocks_[committed_ - 1], computed);
  }
  release();
}

void BlockTable::release() {
  for (const BlockId block : blocks_) tree_.pool().drop_user(block);
  blocks_.clear();
  release_states();
  marks_.clear();
  known_blocks_ = 0;
  committed_ = 0;
  detached_ = false;
}

}  // namespace kvasir::kv
