#include "kv/block_pool.h"

#include <cstring>
#include <limits>
#include <string>

#include "base/check.h"

namespace kvasir::kv {

Result<std::unique_ptr<BlockPool>> BlockPool::create(std::uint32_t block_count, std::size_t block_bytes) {
  if (block_count == 0 || block_bytes == 0) {
    return make_error(ErrorCode::kInvalidArgument,
                      "a block pool needs at least one block of at least one byte; asked for " +
                          std::to_string(block_count) + " of " + std::to_string(block_bytes));
  }
  if (block_bytes > std::numeric_limits<std::size_t>::max() / block_count) {
    return make_error(ErrorCode::kInvalidArgument, "a block pool of " + std::to_string(block_count) + " x " +
                                                       std::to_string(block_bytes) +
                                                       " bytes is more than can be addressed");
  }
  KVASIR_ASSIGN_OR_RETURN(auto memory, AnonymousMemory::create(block_count * block_bytes));
  return std::unique_ptr<BlockPool>(new BlockPool(std::move(memory), block_count, block_bytes));
}

BlockPool::BlockPool(std::unique_ptr<AnonymousMemory> memory, std::uint32_t block_count,
                     std::size_t block_bytes)
    : memory_(std::move(memory)), block_bytes_(block_bytes), states_(block_count) {
  free_.reserve(block_count);
  for (std::uint32_t i = block_count; i > 0; --i) free_.push_back(BlockId{i - 1});
  counts_.total = block_count;
  counts_.free = block_count;
}

const BlockPool::State& BlockPool::state(BlockId block) const {
  KVASIR_CHECK(index_of(block) < states_.size(), "a block id lies inside its pool");
  return states_[index_of(block)];
}

BlockPool::State& BlockPool::state(BlockId block) {
  return const_cast<State&>(static_cast<const BlockPool*>(this)->state(block));
}

std::optional<BlockId> BlockPool::allocate() {
  if (free_.empty()) return std::nullopt;
  const BlockId block = free_.back();
  free_.pop_back();
  State& s = state(block);
  KVASIR_CHECK(s.users == 0 && !s.held, "a block on the free list belongs to no one");
  s.users = 1;
  --counts_.free;
  ++counts_.in_use;
  return block;
}

void BlockPool::add_user(BlockId block) {
  State& s = state(block);
  KVASIR_CHECK(s.users > 0 || s.held, "a free block is not shared");
  if (s.users++ == 0) {
    --counts_.cached;
    ++counts_.in_use;
  }
}

void BlockPool::drop_user(BlockId block) {
  State& s = state(block);
  KVASIR_CHECK(s.users > 0, "a block is dropped only by its users");
  if (--s.users > 0) return;
  --counts_.in_use;
  if (s.held) {
    ++counts_.cached;
  } else {
    ++counts_.free;
    free_.push_back(block);
  }
}

void BlockPool::hold(BlockId block) {
  State& s = state(block);
  KVASIR_CHECK(s.users > 0 && !s.held, "the tree takes a block from its user, once");
  s.held = true;
}

void BlockPool::unhold(BlockId block) {
  State& s = state(block);
  KVASIR_CHECK(s.held, "the tree lets go only of what it holds");
  s.held = false;
  if (s.users > 0) return;
  --counts_.cached;
  ++counts_.free;
  free_.push_back(block);
}

std::byte* BlockPool::bytes(BlockId block) const {
  KVASIR_CHECK(index_of(block) < states_.size(), "a block id lies inside its pool");
  return memory_->data() + index_of(block) * block_bytes_;
}

void BlockPool::copy(BlockId from, BlockId to) {
  KVASIR_CHECK(from != to && users(from) > 0 && users(to) > 0, "blocks are pinned while they are copied");
  KVASIR_CHECK(!held(to), "a block that others can find is never overwritten");
  std::memcpy(bytes(to), bytes(from), block_bytes_);
}

void BlockPool::check_conservation() const {
  PoolCounts seen;
  seen.total = static_cast<std::uint32_t>(states_.size());
  for (const State& s : states_) {
    if (s.users > 0) {
      ++seen.in_use;
    } else if (s.held) {
      ++seen.cached;
    } else {
      ++seen.free;
    }
  }
  KVASIR_CHECK(seen.free == counts_.free && seen.cached == counts_.cached && seen.in_use == counts_.in_use &&
                   seen.free == free_.size() && seen.free + seen.cached + seen.in_use == counts_.total,
               "free + cached + in use blocks = all blocks");
}

}  // namespace kvasir::kv
