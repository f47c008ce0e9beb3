#include "kv/prefix_tree.h"

#include <gtest/gtest.h>

#include <cstring>
#include <numeric>

#include "kv/block_table.h"

namespace kvasir::kv {
namespace {

using Tokens = std::vector<TokenId>;

Tokens counting(std::size_t count, TokenId first = 0) {
  Tokens tokens(count);
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

struct Cache {
  explicit Cache(std::uint32_t blocks, KeyFunction keys = hash_block)
      : pool(BlockPool::create(blocks, 16).value()), tree(*pool, "model", keys) {}
  // A request that computes everything it does not find.
  std::uint32_t run(const Tokens& tokens, const std::string& name_space = "", bool reads_cache = true) {
    BlockTable table(tree, name_space, reads_cache);
    const std::uint32_t cached = table.open(tokens);
    EXPECT_TRUE(table.reserve(static_cast<std::uint32_t>(tokens.size())));
    table.close(tokens, static_cast<std::uint32_t>(tokens.size()));
    tree.check_invariants();
    return cached;
  }
  std::unique_ptr<BlockPool> pool;
  PrefixTree tree;
};

TEST(PrefixTree, ARepeatedPromptIsFoundButForItsLastToken) {
  Cache cache(16);
  EXPECT_EQ(cache.run(counting(200)), 0U);
  EXPECT_EQ(cache.run(counting(200)), 199U);
  EXPECT_EQ(cache.run(counting(128)), 127U);
  EXPECT_EQ(cache.run(counting(1)), 0U);
}

TEST(PrefixTree, AnExtendedPromptIsFoundToItsLastToken) {
  Cache cache(16);
  cache.run(counting(200));
  EXPECT_EQ(cache.run(counting(300)), 200U);
  // The longer tail took the shorter one's place: 300 tokens take 5 blocks.
  EXPECT_EQ(cache.pool->counts().cached, 5U);
}

TEST(PrefixTree, AForkSharesUpToTheTokenWhereItParts) {
  Cache cache(16);
  cache.run(counting(200));
  Tokens fork = counting(150);
  fork.push_back(9999);
  fork.push_back(9998);
  EXPECT_EQ(cache.run(fork), 150U);
  EXPECT_EQ(cache.run(fork), 151U);
  EXPECT_EQ(cache.run(counting(200)), 199U) << "the fork left its parent alone";
}

TEST(PrefixTree, ASequenceSharesFullBlocksByReference) {
  Cache cache(16);
  cache.run(counting(128));
  BlockTable a(cache.tree, "", true);
  BlockTable b(cache.tree, "", true);
  a.open(counting(200));
  b.open(counting(190));
  ASSERT_EQ(a.blocks().size(), 2U);
  EXPECT_EQ(a.blocks()[0], b.blocks()[0]);
  EXPECT_EQ(a.blocks()[1], b.blocks()[1]);
  EXPECT_EQ(cache.pool->users(a.blocks()[0]), 2U);
}

TEST(PrefixTree, TheSameBlockComputedTwiceIsKeptOnce) {
  Cache cache(16);
  BlockTable a(cache.tree, "", true);
  BlockTable b(cache.tree, "", true);
  const Tokens tokens = counting(150);
  for (BlockTable* table : {&a, &b}) {
    table->open(tokens);
    ASSERT_TRUE(table->reserve(150));
  }
  a.commit(tokens, 150);
  b.commit(tokens, 150);
  EXPECT_EQ(a.blocks()[0], b.blocks()[0]);
  EXPECT_NE(a.blocks()[2], b.blocks()[2]) << "partial blocks are private";
  EXPECT_EQ(cache.pool->counts().in_use, 4U);
  a.close(tokens, 150);
  b.close(tokens, 150);
  EXPECT_EQ(cache.pool->counts().cached, 3U);
  cache.tree.check_invariants();
}

TEST(PrefixTree, AFollowerAdoptsWhatItsLeaderHasRead) {
  Cache cache(16);
  const Tokens tokens = counting(200);
  BlockTable leader(cache.tree, "", true);
  BlockTable follower(cache.tree, "", true);
  leader.open(tokens);
  follower.open(tokens);
  ASSERT_TRUE(leader.reserve(200));
  EXPECT_EQ(follower.adopt(tokens, 0), 0U);
  leader.commit(tokens, 130);
  EXPECT_EQ(follower.adopt(tokens, 0), 128U);
  leader.commit(tokens, 200);
  EXPECT_EQ(follower.adopt(tokens, 128), 192U);
}

TEST(PrefixTree, NamespacesNeverShare) {
  Cache cache(16);
  cache.run(counting(200), "alice");
  EXPECT_EQ(cache.run(counting(200), "bob"), 0U);
  EXPECT_EQ(cache.run(counting(200), "alice"), 199U);
}

TEST(PrefixTree, ARequestWithoutCacheReadsNothingAndLeavesEverything) {
  Cache cache(16);
  EXPECT_EQ(cache.run(counting(200), "", false), 0U);
  EXPECT_EQ(cache.run(counting(200), "", false), 0U);
  EXPECT_EQ(cache.pool->counts().cached, 4U);
  EXPECT_EQ(cache.run(counting(200)), 199U);
}

TEST(PrefixTree, CollidingKeysMissAndNeverServeAnothersBlock) {
  const KeyFunction two_keys = [](const BlockKey&, std::span<const TokenId> tokens) {
    return BlockKey{static_cast<std::uint64_t>(tokens[0] & 1), 0};
  };
  Cache cache(16, two_keys);
  cache.run(counting(64));
  EXPECT_EQ(cache.run(counting(64, 1000)), 0U) << "same key, other tokens";
  EXPECT_EQ(cache.run(counting(64), "other"), 0U) << "same key, other namespace";
  EXPECT_EQ(cache.run(counting(64)), 63U);
}

TEST(PrefixTree, EvictionTakesTheLeastRecentOfEqualCost) {
  Cache cache(3);
  cache.run(counting(64, 0));
  cache.run(counting(64, 1000));
  cache.run(counting(64, 2000));
  cache.tree.touch(cache.tree.match("", counting(64, 0)).blocks[0]);
  cache.run(counting(64, 3000));
  EXPECT_EQ(cache.tree.match("", counting(64, 0)).tokens(), 64U);
  EXPECT_EQ(cache.tree.match("", counting(64, 1000)).tokens(), 0U);
  EXPECT_EQ(cache.tree.evicted_blocks(), 1U);
}

TEST(PrefixTree, EvictionPrefersWhatIsCheapToComputeAgain) {
  Cache cache(8);
  cache.run(counting(64 * 6));           // older, but its end is deep
  cache.run(counting(64 * 2, 100'000));  // newer and shallow
  BlockTable table(cache.tree, "", true);
  ASSERT_TRUE(table.reserve(64));
  EXPECT_EQ(cache.tree.match("", counting(64 * 6)).tokens(), 64U * 6);
  EXPECT_EQ(cache.tree.match("", counting(64 * 2, 100'000)).tokens(), 64U);
}

TEST(PrefixTree, WhatIsInUseIsNeverEvicted) {
  Cache cache(4);
  const Tokens tokens = counting(200);
  BlockTable table(cache.tree, "", true);
  table.open(tokens);
  ASSERT_TRUE(table.reserve(200));
  table.commit(tokens, 200);
  EXPECT_FALSE(cache.tree.allocate().has_value());
  EXPECT_EQ(cache.tree.evicted_blocks(), 0U);
}

TEST(PrefixTree, ACopyThatFindsNoBlockFallsBackToFullBlocks) {
  Cache cache(1);
  cache.run(counting(40));
  BlockTable table(cache.tree, "", true);
  EXPECT_EQ(table.open(counting(41)), 0U);
  EXPECT_TRUE(table.reserve(41));
}

TEST(PrefixTree, ForgettingTakesItsOwnAndLeavesWhatIsInUse) {
  Cache cache(32);
  cache.run(counting(200), "a");
  cache.run(counting(300, 5000), "a");
  cache.run(counting(200), "b");
  const auto mine = [](std::string_view name) { return name == "a"; };
  EXPECT_EQ(cache.tree.conversations({}).size(), 3U);
  ASSERT_EQ(cache.tree.conversations(mine).size(), 2U);
  EXPECT_EQ(cache.tree.conversations(mine)[0].tokens, 300U) << "used last";
  {
    BlockTable reader(cache.tree, "a", true);
    EXPECT_EQ(reader.open(counting(200)), 199U);
    EXPECT_EQ(cache.tree.forget(mine, 3), 3U) << "no more than asked at once";
    EXPECT_EQ(cache.tree.forget(mine, 100), 3U);
    EXPECT_EQ(cache.tree.forget(mine, 100), 0U);
    cache.tree.check_invariants();
    ASSERT_EQ(cache.tree.conversations(mine).size(), 1U);
    EXPECT_TRUE(cache.tree.conversations(mine)[0].in_use);
  }
  EXPECT_EQ(cache.tree.forget(mine, 100), 3U);
  EXPECT_EQ(cache.run(counting(200), "b"), 199U);
  EXPECT_EQ(cache.run(counting(200), "a"), 0U);
}

TEST(PrefixTree, DemandCountsWhatSharingPinsDown) {
  Cache cache(8);
  cache.run(counting(128));
  BlockTable table(cache.tree, "", true);
  EXPECT_EQ(table.demand(counting(200), 200), 4U) << "2 cached blocks are pinned, 2 are new";
  BlockTable user(cache.tree, "", true);
  user.open(counting(200));
  EXPECT_EQ(table.demand(counting(200), 200), 2U);
}

}  // namespace
}  // namespace kvasir::kv
