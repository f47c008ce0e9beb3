#pragma once
// The blocks of one sequence: shared ones at the front, its own behind. It takes what the tree has, offers to
// the tree what has been computed, and lets go of everything when it dies.
//
// A table uses (pins) every block in it, and all full blocks in front of its last are nodes of the tree or
// private: so whoever uses a node also uses its ancestors, which PrefixTree::available() relies on.
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

  // How many of tree.available() it would take to open `tokens` and to reserve room for `capacity` tokens.
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
  // Makes room for `capacity` tokens; false (with what could be had) when every block is in use.
  bool reserve(std::uint32_t capacity);
  // The KV of tokens[0, computed) is written: full blocks go to the tree. Where the tree has one already, the
  // own copy is given up for it.
  void commit(std::span<const TokenId> tokens, std::uint32_t computed);
  // commit(), the partial block at the end too, then release().
  void close(std::span<const TokenId> tokens, std::uint32_t computed);
  // Lets go of every block; what the tree has stays there.
  void release();

  const std::string& name_space() const { return name_space_; }

 private:
  std::optional<BlockId> parent_of(std::uint32_t index) const;
  void offer_all(std::span<const TokenId> tokens, std::uint32_t computed);

  PrefixTree& tree_;
  std::string name_space_;
  bool reads_cache_;
  bool detached_ = false;        // a key collided: nothing behind that block can be in the tree
  std::uint32_t committed_ = 0;  // blocks_[0, committed_) are nodes of the tree
  std::vector<BlockId> blocks_;
};

}  // namespace kvasir::kv
