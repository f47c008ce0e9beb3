#include "kv/block_table.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace kvasir::kv {

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
  if (!reads_cache_) return wanted;
  const MatchResult match = tree_.match(name_space_, tokens.first(tokens.size() - 1));
  const auto shared = static_cast<std::uint32_t>(match.blocks.size());
  // A shared block that nobody uses yet can no longer be evicted once it is taken.
  const auto taken =
      std::ranges::count_if(match.blocks, [this](BlockId block) { return tree_.pool().users(block) == 0; });
  return wanted - std::min(shared, wanted) + static_cast<std::uint32_t>(taken);
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
  return copy ? match.tokens() : match.full_tokens();
}

std::uint32_t BlockTable::adopt(std::span<const TokenId> tokens, std::uint32_t computed) {
  if (!reads_cache_ || detached_) return computed;
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
  return true;
}

void BlockTable::commit(std::span<const TokenId> tokens, std::uint32_t computed) {
  KVASIR_CHECK(computed <= tokens.size() && blocks_for(computed) <= blocks_.size(),
               "computed tokens lie in the table's blocks");
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
}

void BlockTable::offer_all(std::span<const TokenId> tokens, std::uint32_t computed) {
  // Nothing is allocated on the way, so nodes that we do not use stay where they are.
  std::optional<BlockId> parent;
  for (std::uint32_t begin = 0; begin < computed; begin += kBlockTokens) {
    const auto here = tokens.subspan(begin, std::min(kBlockTokens, computed - begin));
    const auto result = tree_.insert(name_space_, parent, here, blocks_[begin / kBlockTokens]);
    if (result.outcome == InsertOutcome::kCollision) return;
    parent = result.block;
  }
}

void BlockTable::close(std::span<const TokenId> tokens, std::uint32_t computed) {
  commit(tokens, computed);
  if (!reads_cache_) {
    offer_all(tokens, computed);
  } else if (const std::uint32_t tail = computed % kBlockTokens; tail != 0 && !detached_) {
    const std::uint32_t index = computed / kBlockTokens;
    // Kept or not, there is nothing more to do: a block that has these tokens already serves as well.
    (void)tree_.insert(name_space_, parent_of(index), tokens.subspan(computed - tail, tail), blocks_[index]);
  }
  release();
}

void BlockTable::release() {
  for (const BlockId block : blocks_) tree_.pool().drop_user(block);
  blocks_.clear();
  committed_ = 0;
  detached_ = false;
}

}  // namespace kvasir::kv
