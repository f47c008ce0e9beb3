#pragma once
// What has been read before, found again by its tokens: a tree of KV blocks for every cache namespace.
//
// A node is one block; its path from the root spells the tokens whose KV it continues. Full blocks
// (kBlockTokens tokens) may have children; a partial block, the tail of a request that ended, is a leaf.
// Siblings are kept in token order and none is a prefix of another, so the longest match per token is next to
// where the tokens would be inserted.
//
// Keys are chained 128-bit hashes under a root that names model, layout and namespace. They only find a
// candidate: parent and tokens are compared before it is served, so a collision costs a miss, never a leak.
//
// Where a model keeps a state beside KV (docs/decisions/0023-recurrent-state.md), KV is of use only up to a
// token behind which the state is known. A node may hold the state after its last token, in blocks of the
// same pool; a match ends at such a node. A state leaves the tree with its node, or before it when every
// block is in use.
//
// Eviction (docs/decisions/0003-prefix-tree.md) takes the unused leaf with the lowest priority, where a block
// gets priority = clock + cost when it is touched, cost = tokens / kBlockTokens * (1 + depth /
// kAttentionParityBlocks), and the clock is the highest priority evicted so far: recency, weighted by what it
// takes to compute the block again.
//
// Ownership: blocks belong to the pool; the tree holds those that it can serve. A node is named by its
// BlockId, valid until the block is evicted, that is as long as somebody uses it and at most until the next
// allocate() or insert() otherwise. Not thread-safe: the engine's thread owns it. Everything is bounded by
// the number of blocks in the pool.

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/types.h"
#include "kv/block_pool.h"
#include "kv/name_space_filter.h"

namespace kvasir::kv {

struct BlockKey {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  bool operator==(const BlockKey&) const = default;
};

// hash(parent, tokens); replaceable so that tests can make it collide.
using KeyFunction = BlockKey (*)(const BlockKey& parent, std::span<const TokenId> tokens);
BlockKey hash_block(const BlockKey& parent, std::span<const TokenId> tokens);
// The key that the first block of a namespace continues.
BlockKey hash_root(std::string_view root_name, std::string_view name_space);

// Depth, in blocks, at which attention over the past costs as much as the rest of a forward pass: 8192
// tokens, the middle of what 0.5B to 8B models show on CPUs. It only ranks blocks against each other.
inline constexpr double kAttentionParityBlocks = 128.0;
// What it takes to compute `tokens` tokens again behind `depth` full blocks, in blocks at the start of a
// sequence.
double recompute_cost(std::uint32_t tokens, std::uint32_t depth);

// How many tokens both begin with.
std::uint32_t common_prefix(std::span<const TokenId> a, std::span<const TokenId> b);

struct MatchResult {
  std::vector<BlockId> blocks;     // full blocks, in order: to be shared
  std::optional<BlockId> partial;  // its first partial_tokens tokens match too: to be copied
  std::uint32_t partial_tokens = 0;
  std::uint32_t known_blocks = 0;  // full blocks whose tokens match, with or without a state behind them

  std::uint32_t full_tokens() const { return static_cast<std::uint32_t>(blocks.size()) * kBlockTokens; }
  std::uint32_t tokens() const { return full_tokens() + partial_tokens; }
};

enum class InsertOutcome {
  kInserted,   // the tree holds the given block now
  kExisted,    // another block has these tokens already (a partial one: has them at its start)
  kCollision,  // another block owns the key: not cached
};

struct InsertResult {
  InsertOutcome outcome = InsertOutcome::kInserted;
  BlockId block{};  // the block that serves these tokens now; the given one on kCollision
};

// What a state takes, and how often one is kept along a sequence.
struct StateShape {
  std::uint32_t blocks = 0;  // of the pool; 0: the model keeps KV only
  std::uint32_t every = 0;   // a state is kept behind every so many full blocks
};

class PrefixTree {
 public:
  // `root_name` names everything that KV depends on besides tokens (weights, KV type, kernel variant,
  // rounding version). The pool outlives the tree. `reports_new`: somebody calls take_new().
  PrefixTree(BlockPool& pool, std::string_view root_name, KeyFunction key_function = hash_block,
             bool reports_new = false, StateShape state = {});
  PrefixTree(const PrefixTree&) = delete;
  PrefixTree& operator=(const PrefixTree&) = delete;

  // The longest match of `tokens` in the namespace, per token. Changes nothing, not even recency.
  MatchResult match(std::string_view name_space, std::span<const TokenId> tokens) const;
  // The full block that holds `tokens` (kBlockTokens of them) below `parent` (nullopt: below the root).
  std::optional<BlockId> find_child(std::string_view name_space, std::optional<BlockId> parent,
                                    std::span<const TokenId> tokens) const;
  // Keys of the full blocks of `tokens`: equal keys, equal prefixes (but for collisions).
  std::vector<BlockKey> chain(std::string_view name_space, std::span<const TokenId> tokens) const;

  // Offers a block whose KV continues `parent` by `tokens` (1 .. kBlockTokens). `block` is in use and not in
  // the tree; `parent` is a full block of the same namespace. A shorter partial sibling that the new block
  // covers is let go.
  InsertResult insert(std::string_view name_space, std::optional<BlockId> parent,
                      std::span<const TokenId> tokens, BlockId block);
  // Marks a block of the tree as just used.
  void touch(BlockId block);

  const StateShape& state_shape() const { return state_shape_; }
  // The state behind a block of the tree; empty where none is kept.
  std::span<const BlockId> state_of(BlockId block) const { return node(block).state; }
  // Keeps `state` behind a block of the tree that has none. Its blocks are in use and held by nobody.
  void keep_state(BlockId block, std::span<const BlockId> state);

  // What a lower tier needs to know of a block of the tree; the spans live as long as the block stays in it.
  struct BlockView {
    std::string_view name_space;
    std::optional<BlockId> parent;
    BlockKey parent_key;  // the root's below it
    BlockKey key;
    std::span<const TokenId> tokens;
    std::uint32_t depth = 0;  // full blocks in front of it
  };
  std::optional<BlockView> view(BlockId block) const;  // nullopt: not in the tree (any more)
  // The blocks that came into the tree, or got a state, since the last call, ancestors first. Some may have
  // left it again.
  std::vector<BlockId> take_new();

  // One conversation in memory: a leaf and the path to it.
  struct Conversation {
    std::string_view name_space;  // lives as long as the block stays in the tree
    BlockId leaf{};
    std::uint32_t tokens = 0;
    bool in_use = false;
  };
  std::vector<Conversation> conversations(const NameSpaceFilter& whose) const;  // used last first
  // Lets go of blocks that nobody uses, leaves first, at most about `most`; returns how many. 0: those of
  // `whose` that are left are in use.
  std::uint32_t forget(const NameSpaceFilter& whose, std::uint32_t most);

  // Called with a block that is about to be evicted, or its state alone, while the tree still has it. It may
  // look, not touch.
  void on_eviction(std::function<void(BlockId)> observer) { on_eviction_ = std::move(observer); }

  // A block with one user: a free one, or one that is evicted for it; nullopt when every block is in use.
  std::optional<BlockId> allocate();
  // Blocks that allocate() can still give, provided that whoever uses a block also uses its ancestors.
  std::uint32_t available() const { return pool_.counts().free + pool_.counts().cached; }

  std::uint64_t evicted_blocks() const { return evicted_blocks_; }
  BlockPool& pool() const { return pool_; }
  // Recounts and compares everything that must agree; aborts otherwise. O(blocks).
  void check_invariants() const;

 private:
  struct Root {
    std::string name;
    BlockKey key;
    std::vector<BlockId> children;
  };
  struct Node {
    Root* root = nullptr;  // null: the block is not in the tree
    std::optional<BlockId> parent;
    std::uint32_t depth = 0;  // 0 below the root
    std::uint32_t token_count = 0;
    BlockKey key;
    double priority = 0;
    std::uint64_t last_used = 0;
    std::vector<BlockId> children;  // in token order
    std::vector<BlockId> state;     // behind the last token, or empty
    std::array<TokenId, kBlockTokens> tokens{};
  };
  struct KeyHash {
    std::size_t operator()(const BlockKey& key) const { return static_cast<std::size_t>(key.low); }
  };
  using LeafOrder = std::tuple<double, std::uint64_t, BlockId>;  // priority, last use, block

  const Node& node(BlockId block) const { return nodes_[index_of(block)]; }
  Node& node(BlockId block) { return nodes_[index_of(block)]; }
  std::span<const TokenId> tokens_of(BlockId block) const;
  BlockKey root_key(std::string_view name_space) const;
  const Root* find_root(std::string_view name_space) const;
  Root& make_root(std::string_view name_space);
  void drop_root_if_empty(Root& root);
  std::vector<BlockId>& siblings(Root& root, std::optional<BlockId> parent);
  std::size_t lower_bound(const std::vector<BlockId>& children, std::span<const TokenId> tokens) const;
  std::optional<BlockId> find_key(const BlockKey& key, const Root* root, std::optional<BlockId> parent,
                                  std::span<const TokenId> tokens) const;
  void match_partial(const std::vector<BlockId>& children, std::span<const TokenId> rest,
                     MatchResult& result) const;
  void link(Root& root, std::optional<BlockId> parent, std::span<const TokenId> tokens, const BlockKey& key,
            BlockId block);
  void unlink(BlockId block);
  void cut_to_state(MatchResult& result) const;
  void drop_state(Node& node);
  bool evict_one();
  bool evict_state();
  double cost(const Node& node) const;
  static LeafOrder order(const Node& node, BlockId block) { return {node.priority, node.last_used, block}; }

  BlockPool& pool_;
  std::string root_name_;
  KeyFunction key_function_;
  std::map<std::string, std::unique_ptr<Root>, std::less<>> roots_;  // each has at least one child
  std::vector<Node> nodes_;                                          // (pool blocks), by block
  std::unordered_map<BlockKey, BlockId, KeyHash> index_;
  std::set<LeafOrder> leaves_;  // every node without children; of these at most one a sequence is in use
  std::set<std::pair<std::uint64_t, BlockId>> states_;  // nodes with a state, by last use
  const StateShape state_shape_;
  double clock_ = 0;
  std::uint64_t uses_ = 0;
  std::uint64_t evicted_blocks_ = 0;
  const bool reports_new_;
  std::vector<BlockId> new_blocks_;
  std::function<void(BlockId)> on_eviction_;
};

}  // namespace kvasir::kv
