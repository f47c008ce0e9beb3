// What the store finds, shares, evicts and refuses.

#include "kv/disk_store.h"

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include "kv/disk_world.h"

namespace kvasir::kv {
namespace {

TEST(DiskStore, ASequenceIsFoundAgainAfterARestart) {
  DiskWorld world;
  const Tokens tokens = counting(0, 200);
  world.open();
  ASSERT_TRUE(world.keep("ns", tokens).ok());
  EXPECT_EQ(world.serve("ns", tokens), 200U);
  world.open();
  EXPECT_EQ(world.store->warning(), "");
  EXPECT_EQ(world.serve("ns", tokens), 200U);
  EXPECT_EQ(world.store->stats().records, 4U);
  EXPECT_EQ(world.store->stats().tokens, 200U);
}

TEST(DiskStore, WorksOnTheSystemsFiles) {
  DiskWorld world;
  std::string pattern = (std::filesystem::temp_directory_path() / "kvasir-store-XXXXXX").string();
  const std::string folder = ::mkdtemp(pattern.data());
  world.options.folder = folder + "/kv";
  const auto open = [&] {
    world.store.reset();
    world.store = std::move(DiskStore::open(system_files(), world.options)).value();
  };
  open();
  for (int i = 0; i < 300; ++i) {
    ASSERT_TRUE(world.keep("ns", counting(1000 * i, 100)).ok());
    ASSERT_LE(world.store->stats().bytes, world.options.capacity_bytes);
  }
  ASSERT_TRUE(world.store->sync().ok());
  EXPECT_GT(world.store->stats().evicted_records, 0U);
  open();
  EXPECT_EQ(world.store->warning(), "");
  EXPECT_EQ(world.serve("ns", counting(299000, 100)), 100U);
  world.store->check_invariants();
  world.store.reset();
  std::filesystem::remove_all(folder);
}

TEST(DiskStore, TheMatchIsPerToken) {
  DiskWorld world;
  world.open();
  ASSERT_TRUE(world.keep("ns", counting(0, 200)).ok());
  Tokens fork = counting(0, 150);
  fork.push_back(7);
  EXPECT_EQ(world.serve("ns", fork), 150U);
  EXPECT_EQ(world.serve("ns", counting(0, 30)), 30U);
  EXPECT_EQ(world.serve("ns", counting(1, 30)), 0U);
  EXPECT_EQ(world.serve("ns", {}), 0U);
}

TEST(DiskStore, ReadsBeginWhereTheMemorysMatchEnds) {
  DiskWorld world;
  world.open();
  for (const std::size_t length : {150, 170, 200}) ASSERT_TRUE(world.keep("ns", counting(0, length)).ok());
  for (std::uint32_t from = 0; from <= 200; ++from) {
    EXPECT_EQ(world.serve("ns", counting(0, 200), from), 200U) << from;
  }
  EXPECT_EQ(world.serve("ns", counting(0, 100), 128), 128U);
  EXPECT_TRUE(world.store->match("ns", counting(5000, 200), 64).reads.empty());
}

TEST(DiskStore, ABlockGrowsByPiecesAndNothingIsWrittenTwice) {
  DiskWorld world;
  world.open();
  for (std::size_t length = 1; length <= 130; length += 3) {
    ASSERT_TRUE(world.keep("ns", counting(0, length)).ok());
    EXPECT_EQ(world.serve("ns", counting(0, 200)), length);
  }
  const auto stats = world.store->stats();
  EXPECT_EQ(stats.tokens, 130U);
  EXPECT_EQ(stats.appended_payload_bytes, 130 * kTokenBytes);
  world.open();
  for (std::uint32_t length = 1; length <= 130; ++length) {
    EXPECT_EQ(world.serve("ns", counting(0, length)), length);
  }
}

TEST(DiskStore, WhatIsThereIsNotWrittenAgain) {
  DiskWorld world;
  world.open();
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(world.keep("ns", counting(0, 200)).ok());
  ASSERT_TRUE(world.keep("ns", counting(0, 150)).ok());
  EXPECT_EQ(world.store->stats().appended_records, 4U);
  // Two conversations share their beginning.
  Tokens other = counting(0, 128);
  other.resize(200, 9);
  ASSERT_TRUE(world.keep("ns", other).ok());
  EXPECT_EQ(world.store->stats().appended_records, 6U);
  EXPECT_EQ(world.store->stats().leaves, 2U);
}

TEST(DiskStore, ARecordWhoseBeginningIsMissingIsNotWritten) {
  DiskWorld world;
  world.open();
  const Tokens tokens = counting(0, 64);
  const BlockKey root = world.store->root_key("ns");
  const std::vector<std::byte> payload(64);
  EXPECT_TRUE(world.store->append("ns", root, tokens, 10, payload).ok());
  EXPECT_TRUE(world.store->append("ns", BlockKey{1, 2}, tokens, 0, payload).ok());
  EXPECT_TRUE(world.store->append("ns", root, {}, 0, payload).ok());
  EXPECT_TRUE(world.store->append(std::string(257, 'x'), root, tokens, 0, payload).ok());
  EXPECT_EQ(world.store->stats().appended_records, 0U);
}

TEST(DiskStore, NamespacesAndModelsAreKeptApart) {
  DiskWorld world;
  world.open();
  ASSERT_TRUE(world.keep("a", counting(0, 100)).ok());
  EXPECT_EQ(world.serve("b", counting(0, 100)), 0U);
  ASSERT_TRUE(world.keep("b", counting(0, 100)).ok());
  EXPECT_EQ(world.serve("b", counting(0, 100)), 100U);
  world.options.root_name = "other model";
  world.open();
  EXPECT_EQ(world.serve("a", counting(0, 100)), 0U);
  EXPECT_EQ(world.store->stats().skipped_foreign, 1U);
  world.options.root_name = "model";
  world.options.block_bytes *= 2;
  world.open();
  EXPECT_EQ(world.serve("a", counting(0, 100)), 0U);
}

TEST(DiskStore, ACollidingKeyFunctionCostsMissesOnly) {
  for (const KeyFunction keys :
       {KeyFunction([](const BlockKey&, std::span<const TokenId> tokens) {
          return BlockKey{static_cast<std::uint64_t>(tokens[0]) % 3, tokens.size()};
        }),
        KeyFunction([](const BlockKey&, std::span<const TokenId>) { return BlockKey{1, 1}; })}) {
    DiskWorld world;
    world.options.key_function = keys;
    world.open();
    std::uint32_t served = 0;
    for (int i = 0; i < 40; ++i) {
      ASSERT_TRUE(world.keep(i % 2 == 0 ? "a" : "b", counting(i, 200)).ok());
      if (i % 10 == 9) world.open();
      for (int j = 0; j <= i; ++j) {
        for (const char* name_space : {"a", "b"}) served += world.serve(name_space, counting(j, 200));
      }
      world.store->check_invariants();
    }
    EXPECT_GT(served, 0U);
  }
}

TEST(DiskStore, TheBudgetIsKeptAndTheLatestStays) {
  for (const bool punching : {true, false}) {
    DiskWorld world;
    world.files.set_punching(punching);
    world.options.capacity_bytes = 512 << 10;
    world.open();
    for (int i = 0; i < 500; ++i) {
      const Tokens tokens = counting(1000 * i, 1 + static_cast<std::size_t>(i * 37 % 200));
      ASSERT_TRUE(world.keep("ns", tokens).ok());
      ASSERT_LE(world.store->stats().bytes, world.options.capacity_bytes);
      ASSERT_LE(world.files.allocated("/kv/seg-"), world.store->stats().bytes);
      EXPECT_EQ(world.serve("ns", tokens), tokens.size());
      world.store->check_invariants();
    }
    EXPECT_GT(world.store->stats().evicted_records, 0U);
    EXPECT_GT(world.store->stats().records, 20U);
    EXPECT_FALSE(world.store->stats().writes_stopped);
  }
}

TEST(DiskStore, WhatIsUsedOutlivesWhatIsNotOverRestartsToo) {
  for (const bool punching : {true, false}) {
    DiskWorld world;
    world.files.set_punching(punching);
    world.options.capacity_bytes = 2 << 20;
    world.open();
    const Tokens used = counting(0, 192);
    ASSERT_TRUE(world.keep("ns", used).ok());
    for (int i = 1; i < 400; ++i) {
      ASSERT_TRUE(world.keep("ns", counting(1000 * i, 128)).ok());
      if (i % 20 == 0) world.open();
      if (punching || i < 200) {
        ASSERT_EQ(world.serve("ns", used), 192U) << i << (punching ? "" : " without holes");
      }
    }
    EXPECT_EQ(world.serve("ns", counting(1000, 128)), 0U);
  }
}

TEST(DiskStore, ConversationsBeyondTheMostGoAsAWhole) {
  DiskWorld world;
  world.options.most_leaves = 3;
  world.open();
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(world.keep("ns", counting(1000 * i, 150)).ok());
    EXPECT_LE(world.store->stats().leaves, 3U);
  }
  EXPECT_EQ(world.store->stats().records, 9U);
  EXPECT_EQ(world.serve("ns", counting(9000, 150)), 150U);
}

TEST(DiskStore, OtherModelsGoOldestFirstWhenSpaceIsNeeded) {
  DiskWorld world;
  world.options.capacity_bytes = 256 << 10;
  for (const char* root : {"first", "second", "third"}) {
    world.options.root_name = root;
    world.open();
    for (int i = 0; i < 12; ++i) ASSERT_TRUE(world.keep("ns", counting(1000 * i, 64)).ok());
    ASSERT_LE(world.files.allocated("/kv/seg-"), world.options.capacity_bytes);
  }
  EXPECT_EQ(world.store->stats().records, 12U);
  world.options.root_name = "first";
  world.options.read_only = true;
  EXPECT_LT(world.open().stats().records, 12U);
  world.options.root_name = "second";
  EXPECT_EQ(world.open().stats().records, 12U);
}

TEST(DiskStore, WritesStayUnderTwelveTenthsOfThePayload) {
  for (const bool punching : {true, false}) {
    DiskWorld world;
    world.files.set_punching(punching);
    constexpr std::size_t kBigToken = 12 << 10;
    world.options.block_bytes = kBlockTokens * kBigToken;
    world.options.capacity_bytes = 32 << 20;
    world.options.segment_bytes = 256 << 20;
    world.open();
    const std::vector<std::byte> payload(world.options.block_bytes, std::byte{1});
    for (int i = 0; i < 60; ++i) {
      const Tokens tokens = counting(1000 * i, 84);
      const auto block = std::span(tokens).first(kBlockTokens);
      const BlockKey root = world.store->root_key("ns");
      ASSERT_TRUE(world.store->append("ns", root, block, 0, payload).ok());
      const auto tail = std::span(tokens).subspan(kBlockTokens);
      ASSERT_TRUE(world.store
                      ->append("ns", hash_block(root, block), tail, 0,
                               std::span(payload).first(tail.size() * kBigToken))
                      .ok());
      ASSERT_LE(world.store->stats().bytes, world.options.capacity_bytes);
    }
    const auto stats = world.store->stats();
    EXPECT_EQ(stats.appended_records, 120U);
    EXPECT_LT(stats.appended_bytes, stats.appended_payload_bytes / 10 * 12);
    EXPECT_LT(world.files.written_bytes(), stats.appended_payload_bytes / 10 * 12);
  }
}

TEST(DiskStore, ASecondStoreReadsOnlyAndSaysSo) {
  DiskWorld world;
  world.open();
  ASSERT_TRUE(world.keep("ns", counting(0, 100)).ok());
  auto writer = std::move(world.store);
  world.open();
  EXPECT_NE(world.store->warning().find("another process"), std::string::npos);
  EXPECT_TRUE(world.store->stats().read_only);
  EXPECT_EQ(world.serve("ns", counting(0, 100)), 100U);
  EXPECT_TRUE(world.keep("ns", counting(5000, 100)).ok());
  EXPECT_EQ(world.store->stats().appended_records, 0U);
  // The writer goes on, drops everything the reader knows, and the reader serves nothing wrong.
  auto reader = std::move(world.store);
  world.store = std::move(writer);
  for (int i = 1; i < 200; ++i) ASSERT_TRUE(world.keep("ns", counting(1000 * i, 100)).ok());
  world.store.swap(reader);
  EXPECT_EQ(world.serve("ns", counting(0, 100)), 0U);
  world.store->check_invariants();
}

TEST(DiskStore, AReadOnlyFolderIsReadWithAWarning) {
  DiskWorld world;
  world.open();
  ASSERT_TRUE(world.keep("ns", counting(0, 100)).ok());
  world.store.reset();
  world.files.set_read_only(true);
  world.open();
  EXPECT_NE(world.store->warning(), "");
  EXPECT_EQ(world.serve("ns", counting(0, 100)), 100U);
  EXPECT_TRUE(world.keep("ns", counting(0, 200)).ok());
  EXPECT_TRUE(world.store->stats().read_only);
}

TEST(DiskStore, AFullDiskStopsWritesOnceAndReadsGoOn) {
  DiskWorld world;
  world.open();
  ASSERT_TRUE(world.keep("ns", counting(0, 100)).ok());
  world.files.set_space(40 << 10);
  Status status;
  for (int i = 1; i < 10 && status.ok(); ++i) status = world.keep("ns", counting(1000 * i, 100));
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kResourceExhausted);
  EXPECT_TRUE(world.store->stats().writes_stopped);
  EXPECT_TRUE(world.keep("ns", counting(50000, 100)).ok()) << "the error is said once";
  EXPECT_EQ(world.serve("ns", counting(0, 100)), 100U);
  world.files.set_space(1 << 30);
  world.open();
  EXPECT_EQ(world.serve("ns", counting(0, 100)), 100U);
  EXPECT_TRUE(world.keep("ns", counting(50000, 100)).ok());
  EXPECT_EQ(world.serve("ns", counting(50000, 100)), 100U);
}

TEST(DiskStore, ReadersAndTheWriterRunAtOnce) {
  for (const bool punching : {true, false}) {
    DiskWorld world;
    world.files.set_punching(punching);
    world.options.capacity_bytes = 256 << 10;
    world.open();
    std::atomic<bool> done{false};
    std::vector<std::thread> readers;
    for (int reader = 0; reader < 2; ++reader) {
      readers.emplace_back([&, reader] {
        for (int i = reader; !done; ++i) {
          const Tokens tokens = counting(1000 * (i % 40), 150);
          const DiskMatch match = world.store->match("ns", tokens, 0);
          for (const DiskRead& read : match.reads) {
            std::vector<std::byte> out((read.record_last - read.record_first) * kTokenBytes);
            const std::uint32_t start = read.block_index * kBlockTokens;
            const Status status = world.store->read(read.record, out);
            if (!status.ok()) {
              EXPECT_EQ(status.error().code, ErrorCode::kNotFound);
              break;
            }
            EXPECT_EQ(out, kv_of("ns", tokens, start + read.record_first, start + read.record_last));
          }
          (void)world.store->stats();
        }
      });
    }
    for (int i = 0; i < 400; ++i) {
      EXPECT_TRUE(world.keep("ns", counting(1000 * (i % 40), 150)).ok());
      if (i % 10 == 0) {
        EXPECT_TRUE(world.store->sync().ok());
      }
    }
    done = true;
    for (std::thread& reader : readers) reader.join();
    world.store->check_invariants();
    EXPECT_GT(world.store->stats().evicted_records, 0U);
  }
}

TEST(DiskStore, ARestartContinuesTheLastSegment) {
  DiskWorld world;
  for (int i = 0; i < 5; ++i) {
    world.open();
    ASSERT_TRUE(world.keep("ns", counting(1000 * i, 64)).ok());
  }
  EXPECT_EQ(world.segments().size(), 1U);
}

TEST(DiskStore, WithoutABudgetNothingNewIsKept) {
  DiskWorld world;
  world.open();
  ASSERT_TRUE(world.keep("ns", counting(0, 100)).ok());
  world.options.capacity_bytes = 0;
  world.open();
  EXPECT_EQ(world.serve("ns", counting(0, 100)), 100U);
  EXPECT_TRUE(world.keep("ns", counting(1000, 100)).ok());
  EXPECT_EQ(world.serve("ns", counting(1000, 100)), 0U);
}

TEST(DiskStore, ARootNameBeyondTheFormatIsRefused) {
  DiskWorld world;
  world.options.root_name.assign(100000, 'x');
  EXPECT_EQ(DiskStore::open(world.files, world.options).error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace kvasir::kv
