// Seeded random operations against a model that just remembers token vectors. The block bytes hold the tokens
// themselves, so that every hit is checked against what it claims to be.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <random>

#include "kv/block_table.h"

namespace kvasir::kv {
namespace {

using Tokens = std::vector<TokenId>;

struct LiveSequence {
  std::unique_ptr<BlockTable> table;
  std::string name_space;
  Tokens tokens;
  std::uint32_t computed = 0;
};

class World {
 public:
  World(std::uint64_t seed, std::uint32_t blocks, KeyFunction keys)
      : random_(seed),
        pool_(BlockPool::create(blocks, kBlockTokens * sizeof(TokenId)).value()),
        tree_(*pool_, "model", keys),
        exact_model_(blocks >= 4000 && keys == hash_block) {}

  void step() {
    switch (pick(6)) {
      case 0:
      case 1:
        start();
        break;
      case 2:
      case 3:
        advance();
        break;
      case 4:
        finish();
        break;
      default:
        cancel();
        break;
    }
    tree_.check_invariants();
    for (const auto& live : live_) verify(live);
  }

  void drain() {
    while (!live_.empty()) finish();
    tree_.check_invariants();
    EXPECT_EQ(pool_->counts().in_use, 0U);
  }

  std::uint64_t hits() const { return hits_; }
  const PrefixTree& tree() const { return tree_; }

 private:
  std::size_t pick(std::size_t count) {
    return std::uniform_int_distribution<std::size_t>(0, count - 1)(random_);
  }

  // A fork of something seen before, of random length, with a new end from a tiny vocabulary.
  Tokens prompt(const std::string& name_space) {
    Tokens tokens;
    auto& seen = model_[name_space];
    if (!seen.empty() && pick(4) != 0) {
      const Tokens& parent = seen[pick(seen.size())];
      tokens.assign(parent.begin(), parent.begin() + static_cast<std::ptrdiff_t>(pick(parent.size() + 1)));
    }
    const std::size_t more = 1 + pick(150);
    for (std::size_t i = 0; i < more; ++i) tokens.push_back(static_cast<TokenId>(pick(3)));
    return tokens;
  }

  std::uint32_t longest_known(const std::string& name_space, const Tokens& tokens) {
    std::size_t best = 0;
    for (const Tokens& seen : model_[name_space]) {
      const auto limit = std::min(seen.size(), tokens.size() - 1);
      std::size_t length = 0;
      while (length < limit && seen[length] == tokens[length]) ++length;
      best = std::max(best, length);
    }
    return static_cast<std::uint32_t>(best);
  }

  void start() {
    if (live_.size() >= 6) return;
    LiveSequence fresh;
    fresh.name_space = std::string(1, pick(3) == 0 ? 'b' : 'a');
    fresh.tokens = prompt(fresh.name_space);
    const bool reads = pick(8) != 0;
    fresh.table = std::make_unique<BlockTable>(tree_, fresh.name_space, reads);
    const auto matched =
        tree_.match(fresh.name_space, std::span(fresh.tokens).first(fresh.tokens.size() - 1));
    fresh.computed = fresh.table->open(fresh.tokens);
    EXPECT_LT(fresh.computed, fresh.tokens.size());
    if (exact_model_ && reads) {
      EXPECT_EQ(matched.tokens(), fresh.computed);
      // Live sequences offer their partial blocks only when they end, so the model may not know more.
      EXPECT_GE(fresh.computed, longest_known(fresh.name_space, fresh.tokens));
    }
    hits_ += fresh.computed;
    verify(fresh);
    live_.push_back(std::move(fresh));
  }

  void write(LiveSequence& live, std::uint32_t from, std::uint32_t to) {
    for (std::uint32_t i = from; i < to; ++i) {
      const BlockId block = live.table->blocks()[i / kBlockTokens];
      ASSERT_EQ(pool_->users(block), 1U) << "blocks are written by their only user";
      ASSERT_FALSE(pool_->held(block)) << "blocks that others can find are never written";
      std::memcpy(pool_->bytes(block) + (i % kBlockTokens) * sizeof(TokenId), &live.tokens[i],
                  sizeof(TokenId));
    }
  }

  void advance() {
    if (live_.empty()) return;
    LiveSequence& live = live_[pick(live_.size())];
    live.computed = live.table->adopt(live.tokens, live.computed);
    const auto left = live.tokens.size() - live.computed;
    if (left == 0) return;
    const auto to = live.computed + static_cast<std::uint32_t>(1 + pick(left));
    if (!live.table->reserve(to)) return;
    write(live, live.computed, to);
    live.computed = to;
    live.table->commit(live.tokens, to);
  }

  void end(bool keep) {
    if (live_.empty()) return;
    const std::size_t index = pick(live_.size());
    LiveSequence live = std::move(live_[index]);
    live_.erase(live_.begin() + static_cast<std::ptrdiff_t>(index));
    if (keep) {
      live.table->close(live.tokens, live.computed);
      live.tokens.resize(live.computed);
      model_[live.name_space].push_back(std::move(live.tokens));
    } else {
      live.table->release();
    }
  }
  void finish() { end(true); }
  void cancel() { end(pick(2) == 0); }

  void verify(const LiveSequence& live) {
    for (std::uint32_t i = 0; i < live.computed; ++i) {
      TokenId stored = kNoToken;
      const BlockId block = live.table->blocks()[i / kBlockTokens];
      std::memcpy(&stored, pool_->bytes(block) + (i % kBlockTokens) * sizeof(TokenId), sizeof(TokenId));
      ASSERT_EQ(stored, live.tokens[i]) << "at token " << i;
    }
  }

  std::mt19937_64 random_;
  std::unique_ptr<BlockPool> pool_;
  PrefixTree tree_;
  bool exact_model_;  // nothing is ever evicted, so the model knows the longest match
  std::map<std::string, std::vector<Tokens>> model_;
  std::vector<LiveSequence> live_;
  std::uint64_t hits_ = 0;
};

TEST(PrefixTreeProperty, WithoutPressureTheLongestMatchIsAlwaysFound) {
  for (std::uint64_t seed = 0; seed < 6; ++seed) {
    World world(seed, 4000, hash_block);
    for (int i = 0; i < 400 && !testing::Test::HasFatalFailure(); ++i) world.step();
    world.drain();
    EXPECT_GT(world.hits(), 0U);
    EXPECT_EQ(world.tree().evicted_blocks(), 0U);
  }
}

TEST(PrefixTreeProperty, UnderPressureEveryHitIsRightAndBlocksAreConserved) {
  for (std::uint64_t seed = 100; seed < 120; ++seed) {
    World world(seed, 40, hash_block);
    for (int i = 0; i < 600 && !testing::Test::HasFatalFailure(); ++i) world.step();
    world.drain();
    EXPECT_GT(world.tree().evicted_blocks(), 0U);
  }
}

TEST(PrefixTreeProperty, CollidingKeysNeverServeWrongBytes) {
  const KeyFunction weak = [](const BlockKey& parent, std::span<const TokenId> tokens) {
    return BlockKey{hash_block(parent, tokens).low & 15, 0};
  };
  for (std::uint64_t seed = 200; seed < 220; ++seed) {
    World world(seed, 60, weak);
    for (int i = 0; i < 600 && !testing::Test::HasFatalFailure(); ++i) world.step();
    world.drain();
  }
}

}  // namespace
}  // namespace kvasir::kv
