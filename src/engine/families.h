#pragma once
// Conversations that belong together: those of one session of an agent, which clients name by a
// prompt_cache_key. When one of them is read, all are marked as used: a parent that waits for its sub-agents
// is not evicted as if nobody wanted it any more.
//
// That is all that a key does. It decides nothing about what is shared, only what is let go first.
//
// Owned by the engine's thread. Bounded; the family used least recently is forgotten.

#include <cstdint>
#include <list>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/types.h"
#include "kv/prefix_tree.h"

namespace kvasir::engine {

class Families {
 public:
  explicit Families(kv::PrefixTree& tree) : tree_(tree) {}

  // A request of the family begins. An empty key is no family; keys of other namespaces are others.
  void touch(const std::string& name_space, const std::string& key);
  // One has ended, and left its KV of `tokens` in the tree.
  void remember(const std::string& name_space, const std::string& key, std::span<const TokenId> tokens);
  // The key of the family that `leaf` belongs to; empty for none.
  std::string_view key_of(BlockId leaf) const;

 private:
  struct Block {
    BlockId id{};
    kv::BlockKey key;  // tells whether the block is still the one that was meant
  };
  // A conversation's blocks from the root. Its last, which may hold a few tokens only, is cheap to compute
  // and the first to be evicted: what is left in front of it belongs to the family all the same.
  using Path = std::vector<Block>;
  struct Family {
    std::string name;  // namespace and key
    std::string key;
    std::vector<Path> conversations;  // oldest first; none is empty
  };
  using Order = std::list<Family>;

  static std::string name_of(const std::string& name_space, const std::string& key);
  Path path_to(BlockId leaf) const;
  void drop_evicted(std::vector<Path>& conversations) const;

  kv::PrefixTree& tree_;
  Order order_;  // used last first
  std::unordered_map<std::string, Order::iterator> by_name_;
};

}  // namespace kvasir::engine
