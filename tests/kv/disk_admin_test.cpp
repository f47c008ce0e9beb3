// `kvasir cache` on a store that serves.

#include "kv/disk_admin.h"

#include <gtest/gtest.h>

#include <limits>

#include "kv/disk_world.h"

namespace kvasir::kv {
namespace {

NameSpaceFilter only(const char* name) {
  return [name](std::string_view name_space) { return name_space == name; };
}

// A tier over a store that holds three conversations of "a", two of which share a block, and one of "b".
class DiskAdmin : public testing::Test {
 protected:
  void SetUp() override {
    world.open();
    Tokens fork = counting(0, 64);
    fork.resize(150, 5);
    ASSERT_TRUE(world.keep("a", counting(0, 100)).ok());
    ASSERT_TRUE(world.keep("a", fork).ok());
    ASSERT_TRUE(world.keep("b", counting(9, 30)).ok());
    ASSERT_TRUE(world.keep("a", counting(500, 70)).ok());
    serve();
  }
  void serve() {
    const BlockLayout layout{{0, 1, kBlockTokens * kTokenBytes, kTokenBytes}};
    tier = std::make_unique<DiskTier>(std::move(world.store), layout, kBlockTokens * kTokenBytes,
                                      DiskTierOptions{});
  }
  std::uint64_t records(const NameSpaceFilter& whose = {}) { return tier->store().use(whose).records; }

  DiskWorld world;
  std::unique_ptr<DiskTier> tier;
};

TEST_F(DiskAdmin, ConversationsComeNewestFirstAlsoWithinASecond) {
  const auto all = tier->store().conversations({});
  ASSERT_EQ(all.size(), 4U);
  std::vector<std::uint32_t> tokens;
  for (const auto& one : all) tokens.push_back(one.tokens);
  EXPECT_EQ(tokens, (std::vector<std::uint32_t>{70, 30, 150, 100}));
  EXPECT_EQ(all[0].label, "a model");
  EXPECT_EQ(all[2].shared_bytes, 8192U);
}

TEST_F(DiskAdmin, AFilterShowsItsOwnOnly) {
  EXPECT_EQ(tier->store().conversations(only("b")).size(), 1U);
  EXPECT_EQ(tier->store().conversations(only("nobody")).size(), 0U);
  const DiskUse mine = tier->store().use(only("b"));
  EXPECT_EQ(mine.records, 1U);
  EXPECT_EQ(mine.tokens, 30U);
  EXPECT_EQ(tier->store().use({}).tokens, 100U + 86U + 30U + 70U);
}

TEST_F(DiskAdmin, PruningTakesTheLeastValuableAndOnlyItsOwn) {
  const std::uint64_t before = world.files.allocated("/kv/seg-");
  const auto given = prune_disk(*tier, only("a"), 0, {});
  ASSERT_TRUE(given.ok());
  EXPECT_EQ(records(only("a")), 0U);
  EXPECT_EQ(records(only("b")), 1U);
  EXPECT_EQ(before - world.files.allocated("/kv/seg-"), *given);
  EXPECT_EQ(*prune_disk(*tier, {}, std::numeric_limits<std::uint64_t>::max(), {}), 0U);
  const std::uint64_t half = tier->store().use({}).bytes;
  ASSERT_TRUE(prune_disk(*tier, {}, half, {}).ok());
  EXPECT_EQ(records(), 1U);
  tier->store().check_invariants();
}

TEST_F(DiskAdmin, VerifyingFindsWhatIsDamagedAndDropsIt) {
  EXPECT_EQ(verify_disk(*tier, {}, {})->bad_records, 0U);
  EXPECT_EQ(verify_disk(*tier, {}, {})->records, 7U);
  world.files.flip_bit(world.segments().at(0), 8 * (2 * 4096 + 10));  // the payload of the shared block
  EXPECT_EQ(verify_disk(*tier, only("b"), {})->bad_records, 0U);
  const auto report = verify_disk(*tier, {}, {}).value();
  EXPECT_EQ(report.bad_records, 1U);
  EXPECT_EQ(report.problems.size(), 1U);
  EXPECT_EQ(report.orphans, 3U);
  EXPECT_EQ(report.records, 3U);
  EXPECT_EQ(verify_disk(*tier, {}, {})->bad_records, 0U) << "it is no longer there";
}

TEST_F(DiskAdmin, AnExportHoldsItsOwnAndAnImportTakesItsOwn) {
  EXPECT_EQ(export_disk(*tier, only("b"), "/b", {}).value(), 1U);
  EXPECT_EQ(export_disk(*tier, {}, "/all", {}).value(), 7U);
  EXPECT_FALSE(export_disk(*tier, {}, "/all", {}).ok()) << "never over another file";
  ASSERT_TRUE(prune_disk(*tier, {}, 0, {}).ok());
  const auto mine = import_disk(*tier, only("b"), "/all", {}).value();
  EXPECT_EQ(mine.records, 1U);
  EXPECT_EQ(mine.others, 6U);
  EXPECT_EQ(records(), 1U);
  EXPECT_EQ(import_disk(*tier, {}, "/all", {})->records, 6U);
  EXPECT_EQ(import_disk(*tier, {}, "/all", {})->records, 0U);
  EXPECT_EQ(verify_disk(*tier, {}, {})->records, 7U);
  world.files.set_content("/junk", std::vector<std::byte>(9000, std::byte{1}));
  EXPECT_EQ(import_disk(*tier, {}, "/junk", {}).error().code, ErrorCode::kCorruptData);
  EXPECT_EQ(import_disk(*tier, {}, "/missing", {}).error().code, ErrorCode::kNotFound);
}

TEST_F(DiskAdmin, AnExportThatIsEndedLeavesNoFile) {
  int asked = 0;
  const auto ended = export_disk(*tier, {}, "/part", [&](double) { return ++asked < 3; });
  EXPECT_EQ(ended.error().code, ErrorCode::kCancelled);
  EXPECT_EQ(std::ranges::count(world.files.paths(), "/part"), 0);
  EXPECT_TRUE(export_disk(*tier, {}, "/part", {}).ok());
}

TEST_F(DiskAdmin, WhatWasImportedSurvivesALossOfPower) {
  ASSERT_TRUE(export_disk(*tier, {}, "/all", {}).ok());
  ASSERT_TRUE(prune_disk(*tier, {}, 0, {}).ok());
  ASSERT_TRUE(import_disk(*tier, {}, "/all", {}).ok());
  tier.reset();  // waits for the sync
  world.crash(3);
  EXPECT_EQ(world.store->use({}).records, 7U);
}

TEST_F(DiskAdmin, AReaderRefusesToChangeAnything) {
  DiskWorld reader;
  reader.options.read_only = true;
  reader.open();
  world.store = std::move(reader.store);
  serve();
  EXPECT_EQ(prune_disk(*tier, {}, 0, {}).error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(import_disk(*tier, {}, "/all", {}).error().code, ErrorCode::kUnavailable);
}

}  // namespace
}  // namespace kvasir::kv
