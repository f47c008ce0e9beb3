// What people do with a folder: look, verify, prune, take along.

#include <gtest/gtest.h>

#include "kv/disk_world.h"

namespace kvasir::kv {
namespace {

// Two models in one folder; the first has two conversations that share a block.
void fill(DiskWorld& world) {
  world.open();
  ASSERT_TRUE(world.keep("a", counting(0, 100)).ok());
  Tokens fork = counting(0, 64);
  fork.resize(150, 5);
  ASSERT_TRUE(world.keep("a", fork).ok());
  world.options.root_name = "second";
  world.options.label = "another model";
  world.open();
  ASSERT_TRUE(world.keep("b", counting(9, 10)).ok());
  ASSERT_TRUE(world.keep("b", counting(9, 30)).ok());
  world.store.reset();
}

std::uint32_t serve_first(DiskWorld& world) {
  world.options.root_name = "model";
  world.open();
  Tokens fork = counting(0, 64);
  fork.resize(150, 5);
  const auto served = world.serve("a", counting(0, 100)) + world.serve("a", fork);
  world.store.reset();
  return served;
}

TEST(DiskFolder, ListsTheConversationsOfAllModels) {
  DiskWorld world;
  fill(world);
  const auto report = inspect_disk_folder(world.files, "/kv", true, {}).value();
  EXPECT_EQ(report.records, 6U);
  EXPECT_EQ(report.bad_records + report.orphans + report.foreign_segments + report.problems.size(), 0U);
  EXPECT_EQ(report.bytes, world.files.allocated("/kv/seg-"));
  ASSERT_EQ(report.conversations.size(), 3U);
  for (const auto& conversation : report.conversations) {
    if (conversation.label == "another model") {
      EXPECT_EQ(conversation.name_space, "b");
      EXPECT_EQ(conversation.tokens, 30U);
      EXPECT_EQ(conversation.shared_bytes, 0U);
    } else {
      EXPECT_EQ(conversation.shared_bytes, 8192U);
    }
  }
}

TEST(DiskFolder, VerifyingFindsDamagedPayloads) {
  DiskWorld world;
  fill(world);
  world.files.flip_bit(world.segments().at(0), 8 * (2 * kBlockTokens * kTokenBytes + 2 * 4096 - 700));
  std::vector<double> progress;
  EXPECT_EQ(inspect_disk_folder(world.files, "/kv", false, {})->bad_records, 0U);
  const auto report =
      inspect_disk_folder(world.files, "/kv", true, [&](double done) { progress.push_back(done); }).value();
  EXPECT_EQ(report.bad_records, 1U);
  EXPECT_EQ(report.orphans, 3U);
  EXPECT_EQ(report.problems.size(), 1U);
  EXPECT_EQ(progress.back(), 1.0);
}

TEST(DiskFolder, PruningKeepsTheMostValuable) {
  for (const bool punching : {true, false}) {
    DiskWorld world;
    world.files.set_punching(punching);
    fill(world);
    const auto before = world.files.allocated("/kv/seg-");
    const auto given = prune_disk_folder(world.files, "/kv", 40 << 10);
    ASSERT_TRUE(given.ok());
    EXPECT_EQ(*given, before - world.files.allocated("/kv/seg-"));
    EXPECT_LE(world.files.allocated("/kv/seg-"), 40U << 10);
    EXPECT_GT(serve_first(world), punching ? 63U : 0U);
    ASSERT_TRUE(prune_disk_folder(world.files, "/kv", 0).ok());
    EXPECT_EQ(world.segments().size(), 0U);
  }
}

TEST(DiskFolder, PruningIsRefusedWhileAServerWrites) {
  DiskWorld world;
  fill(world);
  world.open();
  EXPECT_EQ(prune_disk_folder(world.files, "/kv", 0).error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(prune_disk_folder(world.files, "/missing", 0).error().code, ErrorCode::kNotFound);
}

TEST(DiskFolder, AnExportBringsEverythingToAnotherFolder) {
  DiskWorld world;
  fill(world);
  EXPECT_EQ(export_disk_folder(world.files, "/kv", "/out").value(), 6U);
  EXPECT_FALSE(export_disk_folder(world.files, "/kv", "/out").ok()) << "never over another file";
  EXPECT_EQ(import_disk_folder(world.files, "/new", "/out").value(), 6U);
  EXPECT_EQ(import_disk_folder(world.files, "/new", "/out").value(), 0U) << "what is there is left out";
  world.options.folder = "/new";
  EXPECT_EQ(serve_first(world), 250U);
  EXPECT_EQ(inspect_disk_folder(world.files, "/new", true, {})->records, 6U);
}

TEST(DiskFolder, ADamagedExportBringsWhatIsSound) {
  DiskWorld world;
  fill(world);
  ASSERT_TRUE(export_disk_folder(world.files, "/kv", "/out").ok());
  const auto whole = world.files.content("/out");
  for (std::size_t byte = 0; byte < whole.size(); byte += 251) {
    DiskWorld other;
    other.files.set_content("/out", whole);
    other.files.flip_bit("/out", byte * 8);
    other.options.folder = "/new";
    const auto records = import_disk_folder(other.files, "/new", "/out");
    ASSERT_TRUE(records.ok()) << records.error().message;
    serve_first(other);
  }
  world.files.set_content("/junk", std::vector<std::byte>(9000, std::byte{1}));
  EXPECT_EQ(import_disk_folder(world.files, "/new", "/junk").error().code, ErrorCode::kCorruptData);
}

}  // namespace
}  // namespace kvasir::kv
