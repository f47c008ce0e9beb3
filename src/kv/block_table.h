#pragma once
// The blocks of one sequence: shared ones at the front, its own behind. It takes what the tree has, offers to
// the tree what has been computed, and lets go of everything when it dies.
//
// A table uses (pins) every block in it, and all full blocks in front of its last are nodes of the tree or
// private: so whoever uses a node also uses its ancestors, which PrefixTree::available() relies on.
//
// Where the model keeps a state (PrefixTree::state_shape), a table has that behind its computed tokens:
// either one that the tree keeps, which is only read, or its own, which steps go on in. It hands its own to
// the tree at every shape.every full blocks, at marks, and when it closes.
//
// `tokens` arguments are always the whole sequence from its start. Owned by the engine's thread; the tree
// outlives the table.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/types.h"
#include "kv/prefix_tree.h"

namespace kvasir::kv {

constexpr std::uint32_t blocks_for(std::uint64_t tokens) {
  return static_cast<std::uint32_t>((tokens + kBlockTokens - 1) / kBlockTokens);
}

class BlockTable {
 public:
  // reads_cache false: nothing is taken from the tree, everything is still offered to it at the end.
  BlockTable(PrefixTree& tree, std::string name_space, bool reads_cache);
  ~BlockTable();
  BlockTable(const BlockTable&) = delete;
  BlockTable& operator=(const BlockTable&) = delete;

  std::span<const BlockId> blocks() const { return blocks_; }

  bool keeps_states() const { return tree_.state_shape().blocks > 0; }
  // The state behind the computed tokens, and where a step writes the next, after reserve(); empty where the
  // model has none. The first is empty at a sequence's start.
  std::span<const BlockId> state_in() const { return state_; }
  std::span<const BlockId> state_out() const { return owns_state_ ? state_ : next_state_; }
  // Blocks that reserve() would take for the state of the next step.
  std::uint32_t state_demand() const;
  // The state behind so many tokens, a multiple of kBlockTokens, is worth keeping.
  void mark(std::uint32_t tokens);
  // Tokens from `computed` to the next place where the state is kept: as many as a step may read.
  std::uint32_t until_mark(std::uint32_t computed) const;
  // Full blocks that open() found in the tree, more than it could take for want of a state behind them.
  std::uint32_t known_blocks() const { return known_blocks_; }
  // A step that failed may have spoiled the state: it is given up.
  void drop_state();

  // How many of tree.available() it would take to open `tokens` and to reserve room for `capacity` tokens,
  // states included.
  std::uint32_t demand(std::span<const TokenId> tokens, std::uint32_t capacity) const;
  // Takes the longest match of all tokens but the last (whose logits are wanted); returns its length. Full
  // blocks are shared; a partial one is copied, unless no block can be had for the copy. The table is empty.
  std::uint32_t open(std::span<const TokenId> tokens);
  // Takes the full blocks that the tree has got since, for a sequence with `computed` tokens, as far as all
  // tokens but the last go; returns the new number of computed tokens.
  std::uint32_t adopt(std::span<const TokenId> tokens, std::uint32_t computed);
  // Copies the block at `index`, the first that is not in the tree yet, from a table that has the same tokens
  // in front of it: what both share of it need not be computed twice. False when no block can be had for it.
  bool copy_from(const BlockTable& other, std::uint32_t index);
  // Whether both hold the same blocks of the tree in front of `index`.
  bool shares_all_before(const BlockTable& other, std::uint32_t index) const;
  // Makes room for `capacity` tokens and the state behind them; false (with what could be had) when every
  // block is in use.
  bool reserve(std::uint32_t capacity);
  // The KV of tokens[0, computed) is written, and the state behind them: full blocks go to the tree. Where
  // the tree has one already, the own copy is given up for it.
  void commit(std::span<const TokenId> tokens, std::uint32_t computed);
  // commit(), the partial block at the end too, then release().
  void close(std::span<const TokenId> tokens, std::uint32_t computed);
  // Lets go of every block; what the tree has stays there.
  void release();

  const std::string& name_space() const { return name_space_; }

 private:
  std::optional<BlockId> parent_of(std::uint32_t index) const;
  void offer_all(std::span<const TokenId> tokens, std::uint32_t computed);
  bool is_mark(std::uint32_t tokens) const;
  void release_states();
  void read_state_of(BlockId block, std::uint32_t tokens);
  void advance_state(std::uint32_t computed);
  void keep_state(BlockId block, std::uint32_t computed);
  std::uint32_t cut_to_state();
  std::uint32_t adopt_with_state(std::span<const TokenId> tokens, std::uint32_t computed);

  PrefixTree& tree_;
  std::string name_space_;
  bool reads_cache_;
  bool detached_ = false;        // a key collided: nothing behind that block can be in the tree
  std::uint32_t committed_ = 0;  // blocks_[0, committed_) are nodes of the tree
  std::vector<BlockId> blocks_;

  std::vector<BlockId> state_;       // behind state_tokens_ tokens; empty at the start
  std::vector<BlockId> next_state_;  // our own, where state_ is not or there is none
  bool owns_state_ = false;          // state_ is not the tree's
  std::uint32_t state_tokens_ = 0;
  std::uint32_t known_blocks_ = 0;
  std::vector<std::uint32_t> marks_;  // in order
};

}  // namespace kvasir::kv
