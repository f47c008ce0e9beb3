// States behind blocks of the prefix tree: where a match ends, who owns what, and what goes first.

#include <gtest/gtest.h>

#include <numeric>

#include "kv/block_table.h"

namespace kvasir::kv {
namespace {

using Tokens = std::vector<TokenId>;

constexpr std::uint32_t kState = 2;  // blocks
constexpr std::uint32_t kEvery = 4;  // blocks between states

Tokens counting(std::size_t count, TokenId first = 0) {
  Tokens tokens(count);
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

struct Cache {
  explicit Cache(std::uint32_t blocks)
      : pool(BlockPool::create(blocks, 16).value()),
        tree(*pool, "model", hash_block, false, {kState, kEvery}) {}
  // Reads on to `until` in steps that end where a state is to be kept.
  void read(BlockTable& table, const Tokens& tokens, std::uint32_t& computed, std::uint32_t until) {
    while (computed < until) {
      const std::uint32_t next = computed + std::min(until - computed, table.until_mark(computed));
      ASSERT_TRUE(table.reserve(next));
      ASSERT_EQ(table.state_out().size(), kState);
      ASSERT_EQ(table.state_in().empty(), computed == 0);
      for (const BlockId block : table.state_out())
        ASSERT_FALSE(pool->held(block)) << "the tree's are only read";
      computed = next;
      table.commit(tokens, computed);
    }
    tree.check_invariants();
  }
  // A request that computes everything it does not find; returns what it found.
  std::uint32_t run(const Tokens& tokens, std::vector<std::uint32_t> marks = {}) {
    BlockTable table(tree, "", true);
    std::uint32_t computed = table.open(tokens);
    const std::uint32_t found = computed;
    for (const std::uint32_t mark : marks) table.mark(mark);
    read(table, tokens, computed, static_cast<std::uint32_t>(tokens.size()));
    table.close(tokens, computed);
    tree.check_invariants();
    return found;
  }
  std::unique_ptr<BlockPool> pool;
  PrefixTree tree;
};

TEST(StateTree, AMatchEndsWhereAStateIs) {
  Cache cache(200);
  EXPECT_EQ(cache.run(counting(700)), 0U);
  EXPECT_EQ(cache.run(counting(800)), 700U) << "behind the tail, whole";
  // The longer tail took the shorter one's place, and its state.
  EXPECT_EQ(cache.run(counting(750)), 512U) << "the last of every four blocks";
  EXPECT_EQ(cache.run(counting(200)), 0U) << "KV without a state behind it is of no use";
}

TEST(StateTree, AStateIsKeptBehindAMark) {
  Cache cache(200);
  cache.run(counting(150), {64});
  Tokens fork = counting(100);
  fork.push_back(9999);
  EXPECT_EQ(cache.run(fork), 64U);
}

TEST(StateTree, AForkTellsWhereAStateWasMissing) {
  Cache cache(200);
  cache.run(counting(250));
  Tokens fork = counting(200);
  fork.push_back(9999);
  BlockTable table(cache.tree, "", true);
  EXPECT_EQ(table.open(fork), 0U);
  EXPECT_EQ(table.known_blocks(), 3U);
}

TEST(StateTree, AdoptionGoesAsFarAsAState) {
  Cache cache(200);
  BlockTable leader(cache.tree, "", true);
  BlockTable follower(cache.tree, "", true);
  const Tokens tokens = counting(700);
  std::uint32_t led = leader.open(tokens);
  const std::uint32_t begun = follower.open(tokens);
  leader.mark(128);
  cache.read(leader, tokens, led, 100);
  EXPECT_EQ(follower.adopt(tokens, begun), 0U);
  cache.read(leader, tokens, led, 240);
  const std::uint32_t followed = follower.adopt(tokens, begun);
  EXPECT_EQ(followed, 128U);
  EXPECT_EQ(follower.state_in().size(), kState);
  std::uint32_t computed = followed;
  cache.read(follower, tokens, computed, 200);
  leader.close(tokens, led);
  follower.close(tokens, computed);
  cache.tree.check_invariants();
  EXPECT_EQ(cache.pool->counts().in_use, 0U);
}

TEST(StateTree, DemandIsWhatOpeningAndReservingTake) {
  Cache cache(200);
  cache.run(counting(300));
  for (const std::size_t length : {100U, 299U, 301U, 400U}) {
    const Tokens tokens = counting(length);
    BlockTable table(cache.tree, "", true);
    const auto capacity = static_cast<std::uint32_t>(length + 50);
    const std::uint32_t demand = table.demand(tokens, capacity);
    const std::uint32_t before = cache.tree.available();
    table.open(tokens);
    ASSERT_TRUE(table.reserve(capacity));
    EXPECT_LE(before - cache.tree.available(), demand) << length;
    EXPECT_EQ(table.state_demand(), 0U);
  }
}

TEST(StateTree, WhenAllIsInUseStatesAreGivenUpFirst) {
  // 12 blocks of tokens, two states of one sequence, and no more.
  Cache cache(12 + 2 * kState);
  BlockTable table(cache.tree, "", true);
  const Tokens tokens = counting(12 * kBlockTokens);
  std::uint32_t computed = table.open(tokens);
  cache.read(table, tokens, computed, 12 * kBlockTokens);
  EXPECT_EQ(computed, 12 * kBlockTokens);
  table.close(tokens, computed);
  cache.tree.check_invariants();
  EXPECT_EQ(cache.pool->counts().in_use, 0U);
  EXPECT_EQ(cache.run(counting(12 * kBlockTokens - 40)), 8 * kBlockTokens);
}

TEST(StateTree, ALostStateIsNotKept) {
  Cache cache(100);
  BlockTable table(cache.tree, "", true);
  const Tokens tokens = counting(700);
  std::uint32_t computed = table.open(tokens);
  cache.read(table, tokens, computed, 400);
  ASSERT_TRUE(table.reserve(420));
  table.drop_state();
  table.close(tokens, 384);
  cache.tree.check_invariants();
  EXPECT_EQ(cache.pool->counts().in_use, 0U);
  EXPECT_EQ(cache.run(tokens), 256U);
}

TEST(StateTree, WhatDoesNotReadTheCacheLeavesItsState) {
  Cache cache(100);
  const Tokens tokens = counting(300);
  BlockTable table(cache.tree, "", false);
  std::uint32_t computed = table.open(tokens);
  cache.read(table, tokens, computed, 300);
  table.close(tokens, computed);
  cache.tree.check_invariants();
  EXPECT_EQ(cache.run(counting(310)), 300U);
}

}  // namespace
}  // namespace kvasir::kv
