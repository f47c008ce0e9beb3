// Torn, flipped, foreign and orphaned data, failing calls, and losses of power: never a wrong payload, never
// a store that does not open, and one fault costs itself only.

#include <gtest/gtest.h>

#include <random>

#include "kv/disk_world.h"
#include "kv/segment_scan.h"

namespace kvasir::kv {
namespace {

struct Sequence {
  const char* name_space;
  Tokens tokens;
};

const std::vector<Sequence>& sequences() {
  static const std::vector<Sequence> all = {
      {"a", counting(0, 100)}, {"b", counting(0, 64)}, {"a", counting(7000, 20)}};
  return all;
}

// Returns the tokens served of all sequences.
std::uint32_t serve_all(DiskWorld& world) {
  std::uint32_t served = 0;
  for (const Sequence& one : sequences()) served += world.serve(one.name_space, one.tokens);
  world.store->check_invariants();
  return served;
}

void fill(DiskWorld& world) {
  world.open();
  for (const Sequence& one : sequences()) ASSERT_TRUE(world.keep(one.name_space, one.tokens).ok());
  ASSERT_TRUE(world.store->sync().ok());
}

TEST(DiskDamage, EveryTruncationIsSafe) {
  DiskWorld world;
  fill(world);
  world.store.reset();
  const std::string path = world.segments().at(0);
  const auto whole = world.files.content(path);
  world.options.read_only = true;
  std::uint32_t before = 0;
  for (std::size_t size = 0; size <= whole.size(); ++size) {
    world.files.set_content(path, {whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)});
    world.open();
    const std::uint32_t served = serve_all(world);
    ASSERT_GE(served, before) << "more bytes never hold less, at " << size;
    before = served;
  }
  EXPECT_EQ(before, 184U);
}

TEST(DiskDamage, ATruncatedSegmentIsCleanedUpAndWrittenOn) {
  DiskWorld world;
  fill(world);
  world.store.reset();
  const std::string path = world.segments().at(0);
  const auto whole = world.files.content(path);
  for (std::size_t size = 0; size <= whole.size(); size += 509) {
    DiskWorld torn;
    torn.open();
    torn.store.reset();
    torn.files.set_content(path, {whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)});
    fill(torn);
    EXPECT_EQ(serve_all(torn), 184U) << size;
    torn.open();
    EXPECT_EQ(serve_all(torn), 184U) << size;
    EXPECT_EQ(torn.store->stats().skipped_torn, 0U) << size;
  }
}

TEST(DiskDamage, BitFlipsNeverServeAWrongPayload) {
  DiskWorld world;
  fill(world);
  world.store.reset();
  const std::string path = world.segments().at(0);
  const auto whole = world.files.content(path);
  std::vector<std::size_t> used;
  for (std::size_t i = 0; i < whole.size(); ++i) {
    if (whole[i] != std::byte{0}) used.push_back(i);
  }
  world.options.read_only = true;
  std::mt19937_64 random(7);
  std::uint32_t damaged = 0;
  for (int i = 0; i < 20000; ++i) {
    const std::size_t byte = i % 2 == 0 ? random() % whole.size() : used[random() % used.size()];
    const std::uint64_t bit = byte * 8 + random() % 8;
    world.files.flip_bit(path, bit);
    world.open();
    damaged += serve_all(world) < 184 ? 1 : 0;
    world.files.flip_bit(path, bit);
  }
  EXPECT_GT(damaged, 10000U) << "the flips were seen";
}

TEST(DiskDamage, ADamagedPayloadIsDroppedWithWhatContinuesIt) {
  DiskWorld world;
  world.open();
  ASSERT_TRUE(world.keep("ns", counting(0, 200)).ok());
  ASSERT_TRUE(world.keep("ns", counting(5000, 64)).ok());
  // The second record's payload: behind the segment header, a record and a header.
  world.files.flip_bit(world.segments().at(0), 8 * (kPageBytes + 2 * kPageBytes + kPageBytes + 5));
  EXPECT_EQ(world.serve("ns", counting(0, 200)), 64U);
  const auto stats = world.store->stats();
  EXPECT_EQ(stats.skipped_torn, 1U);
  EXPECT_EQ(stats.skipped_orphans, 2U);
  EXPECT_EQ(stats.records, 2U);
  EXPECT_EQ(world.serve("ns", counting(5000, 64)), 64U);
  ASSERT_TRUE(world.keep("ns", counting(0, 200)).ok());
  EXPECT_EQ(world.serve("ns", counting(0, 200)), 200U);
}

TEST(DiskDamage, AnOrphanIsSkippedCountedAndItsSpaceComesBack) {
  DiskWorld world;
  world.open();
  ASSERT_TRUE(world.keep("ns", counting(0, 200)).ok());
  world.store.reset();
  world.files.flip_bit(world.segments().at(0), 8 * (kPageBytes + 100));  // the first record's header
  world.open();
  EXPECT_EQ(world.store->stats().skipped_orphans, 3U);
  EXPECT_EQ(world.store->stats().skipped_torn, 1U);
  EXPECT_EQ(world.serve("ns", counting(0, 200)), 0U);
  EXPECT_EQ(world.store->stats().bytes, 0U);
  EXPECT_EQ(world.files.allocated("/kv/seg-"), 0U);
}

TEST(DiskDamage, ForeignVersionsAndByteOrdersAreLeftAlone) {
  for (const std::uint64_t byte : {8, 12}) {  // of the version, of the byte order mark
    DiskWorld world;
    fill(world);
    world.store.reset();
    const std::string path = world.segments().at(0);
    auto bytes = world.files.content(path);
    bytes[byte] = std::byte{9};
    const Hash128 sum = checksum(std::span(bytes).first(kPageBytes - 16));
    std::memcpy(bytes.data() + kPageBytes - 16, &sum, 16);
    world.files.set_content(path, bytes);
    world.open();
    EXPECT_EQ(world.store->stats().skipped_foreign, 1U);
    EXPECT_EQ(serve_all(world), 0U);
    fill(world);
    EXPECT_EQ(serve_all(world), 184U);
    EXPECT_EQ(world.files.content(path), bytes);
  }
}

TEST(DiskDamage, ASegmentUnderAnotherNameIsNotBelieved) {
  DiskWorld world;
  fill(world);
  world.store.reset();
  const auto bytes = world.files.content(world.segments().at(0));
  ASSERT_TRUE(world.files.remove(world.segments().at(0)).ok());
  world.files.set_content("/kv/seg-00000077.kvs", bytes);
  world.open();
  EXPECT_EQ(serve_all(world), 0U);
}

TEST(DiskDamage, PayloadBytesNeverPassAsAHeader) {
  DiskWorld world;
  world.open();
  ASSERT_TRUE(world.keep("ns", counting(0, 64)).ok());
  const auto segment = world.files.content(world.segments().at(0));
  // A whole segment as the payload of a record whose header is then destroyed: the scan walks through it.
  const BlockKey root = world.store->root_key("evil");
  ASSERT_TRUE(world.store->append("evil", root, counting(0, 64), 0, segment).ok());
  world.store.reset();
  world.files.flip_bit(world.segments().at(0), 8 * (3 * kPageBytes + 50));
  world.open();
  EXPECT_EQ(world.store->stats().records, 1U);
  EXPECT_EQ(world.serve("ns", counting(0, 64)), 64U);
}

TEST(DiskDamage, ADamagedRecencyHintCostsNothing) {
  DiskWorld world;
  fill(world);
  world.store.reset();
  std::string path;
  for (const auto& each : world.files.paths()) path = each.ends_with(".kvr") ? each : path;
  ASSERT_FALSE(path.empty());
  const auto whole = world.files.content(path);
  world.options.read_only = true;
  for (std::size_t size = 0; size < whole.size(); ++size) {
    world.files.set_content(path, {whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)});
    world.open();
    ASSERT_EQ(serve_all(world), 184U);
  }
  for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
    world.files.set_content(path, whole);
    world.files.flip_bit(path, bit);
    world.open();
    ASSERT_EQ(serve_all(world), 184U);
  }
}

TEST(DiskDamage, AnyCallMayFail) {
  for (const bool punching : {true, false}) {
    for (const bool all : {false, true}) {
      for (const ErrorCode code : {ErrorCode::kIo, ErrorCode::kResourceExhausted}) {
        for (std::uint64_t call = 0;; ++call) {
          DiskWorld world(call);
          world.files.set_punching(punching);
          world.options.capacity_bytes = 80 << 10;
          world.files.fail_after(call, code, all);
          const auto run = [&] {
            world.open();
            for (const Sequence& one : sequences()) (void)world.keep(one.name_space, one.tokens).ok();
            (void)world.store->sync().ok();
            for (int i = 0; i < 10; ++i) (void)world.keep("c", counting(1000 * i, 70)).ok();
            serve_all(world);
          };
          run();
          const bool reached = world.files.calls() > call;
          world.files.heal();
          run();
          const auto stats = world.store->stats();
          ASSERT_TRUE(world.keep("d", counting(0, 64)).ok());
          ASSERT_EQ(world.serve("d", counting(0, 64)), 64U)
              << "call " << call << " punching " << punching << " all " << all << " stopped "
              << stats.writes_stopped << " " << world.store->warning() << stats.bytes;
          if (!reached) break;
        }
      }
    }
  }
}

TEST(DiskDamage, WhatWasSyncedSurvivesALossOfPower) {
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    DiskWorld world(seed);
    world.files.set_punching(seed % 2 == 0);
    fill(world);
    for (int i = 0; i < 5; ++i) ASSERT_TRUE(world.keep("c", counting(1000 * i, 90)).ok());
    world.crash(seed);
    ASSERT_EQ(serve_all(world), 184U) << seed;
    for (int i = 0; i < 5; ++i) {
      world.serve("c", counting(1000 * i, 90));
      ASSERT_TRUE(world.keep("c", counting(1000 * i, 90)).ok());
    }
    world.crash(seed + 1);
    ASSERT_EQ(serve_all(world), 184U) << seed;
    for (int i = 0; i < 5; ++i) world.serve("c", counting(1000 * i, 90));
  }
}

TEST(DiskDamage, AKilledProcessLosesNothingItAppended) {
  DiskWorld world;
  world.open();
  for (const Sequence& one : sequences()) ASSERT_TRUE(world.keep(one.name_space, one.tokens).ok());
  world.files.kill();
  world.open();
  EXPECT_EQ(serve_all(world), 184U);
}

}  // namespace
}  // namespace kvasir::kv
