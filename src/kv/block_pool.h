#pragma once
// The memory that KV blocks live in: one slab of equal blocks, each free, cached or in use.
//
//   in use   at least one running sequence reads or writes it (users > 0)
//   cached   no user, but the prefix tree can still serve it
//   free     neither
//
// free + cached + in use = all, always; check_conservation() counts again and aborts when it is not so.
// A block may be both used and held by the tree: then it counts as in use, and becomes cached when its last
// user drops it.
//
// Not thread-safe: the engine's thread owns it. Misuse (dropping a user that is not there, touching a free
// block) aborts: going on would hand one conversation's memory to another.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/anonymous_memory.h"
#include "base/error.h"
#include "base/types.h"

namespace kvasir::kv {

struct PoolCounts {
  std::uint32_t total = 0;
  std::uint32_t free = 0;
  std::uint32_t cached = 0;
  std::uint32_t in_use = 0;
};

class BlockPool {
 public:
  // kInvalidArgument for zero blocks or bytes, kResourceExhausted when the system gives no memory.
  static Result<std::unique_ptr<BlockPool>> create(std::uint32_t block_count, std::size_t block_bytes);

  // A free block, now with one user; nullopt when none is free. Its bytes are whatever they were.
  std::optional<BlockId> allocate();
  void add_user(BlockId block);   // the block is in use or cached
  void drop_user(BlockId block);  // without other users it becomes cached or free
  void hold(BlockId block);       // the tree takes it; the block is in use and not held
  void unhold(BlockId block);     // the tree lets go; without users it becomes free

  std::uint32_t users(BlockId block) const { return state(block).users; }
  bool held(BlockId block) const { return state(block).held; }

  // Copies a whole block; both are in use.
  void copy(BlockId from, BlockId to);

  std::byte* base() const { return memory_->data(); }
  std::byte* bytes(BlockId block) const;  // (block_bytes)
  std::size_t block_bytes() const { return block_bytes_; }
  const PoolCounts& counts() const { return counts_; }
  void check_conservation() const;  // O(blocks)

 private:
  struct State {
    std::uint32_t users = 0;
    bool held = false;
  };
  BlockPool(std::unique_ptr<AnonymousMemory> memory, std::uint32_t block_count, std::size_t block_bytes);
  const State& state(BlockId block) const;
  State& state(BlockId block);

  std::unique_ptr<AnonymousMemory> memory_;
  std::size_t block_bytes_;
  std::vector<State> states_;
  std::vector<BlockId> free_;  // a stack: the block freed last is warmest
  PoolCounts counts_;
};

}  // namespace kvasir::kv
