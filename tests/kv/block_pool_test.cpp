#include "kv/block_pool.h"

#include <gtest/gtest.h>

#include <cstring>

namespace kvasir::kv {
namespace {

TEST(BlockPool, EveryBlockIsFreeCachedOrInUse) {
  auto pool = BlockPool::create(2, 16).value();
  const BlockId first = *pool->allocate();
  const BlockId second = *pool->allocate();
  EXPECT_FALSE(pool->allocate().has_value());
  pool->hold(first);
  pool->add_user(first);
  pool->drop_user(first);
  EXPECT_EQ(pool->counts().in_use, 2U);
  pool->drop_user(first);
  EXPECT_EQ(pool->counts().cached, 1U);
  pool->drop_user(second);
  EXPECT_EQ(pool->counts().free, 1U);
  pool->unhold(first);
  EXPECT_EQ(pool->counts().free, 2U);
  pool->check_conservation();
}

TEST(BlockPool, CopyTakesTheWholeBlock) {
  auto pool = BlockPool::create(2, 16).value();
  const BlockId from = *pool->allocate();
  const BlockId to = *pool->allocate();
  std::memset(pool->bytes(from), 7, 16);
  pool->copy(from, to);
  EXPECT_EQ(std::memcmp(pool->bytes(from), pool->bytes(to), 16), 0);
}

TEST(BlockPool, RefusesAnEmptyPool) {
  EXPECT_EQ(BlockPool::create(0, 16).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(BlockPool::create(3, static_cast<std::size_t>(-1)).error().code, ErrorCode::kInvalidArgument);
}

TEST(BlockPoolDeathTest, MisuseStopsTheProcess) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  auto pool = BlockPool::create(2, 16).value();
  const BlockId block = *pool->allocate();
  pool->drop_user(block);
  EXPECT_DEATH(pool->drop_user(block), "dropped only by its users");
  EXPECT_DEATH(pool->add_user(block), "not shared");
}

}  // namespace
}  // namespace kvasir::kv
