#include "chat/replay_table.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "chat/memory_file_system.h"
#include "support/fake_file_system.h"

namespace kvasir::chat {
namespace {

using testing_support::MemoryFileSystem;
using Tokens = std::vector<TokenId>;

constexpr const char* kPath = "cache/replay.log";

std::shared_ptr<ReplayTable> open_table(MemoryFileSystem& files, const std::string& root = "model",
                                        ReplayLimits limits = {}) {
  auto table = ReplayTable::open(files, kPath, root, limits);
  EXPECT_TRUE(table.ok()) << table.error().message;
  return table.ok() ? *table : std::make_shared<ReplayTable>();
}

Tokens tokens_of(ReplayTable& table, const std::string& key) {
  const auto entry = table.find(key);
  return entry ? entry->tokens : Tokens();
}

std::string key(int i) {
  return "key " + std::to_string(i);
}
Tokens tokens(int i) {
  return Tokens(static_cast<std::size_t>(i % 5 + 1), i);
}

// A file with records 0 to n-1.
std::vector<std::byte> log_of(int n, const std::string& root = "model") {
  MemoryFileSystem files;
  {
    const auto table = open_table(files, root);
    for (int i = 0; i < n; ++i) table->record(key(i), tokens(i));
  }
  return files.contents(kPath);
}

TEST(ReplayTable, FindsWhatWasRecorded) {
  ReplayTable table;
  table.record("a", Tokens{1, 2, 3});
  EXPECT_EQ(tokens_of(table, "a"), (Tokens{1, 2, 3}));
  EXPECT_EQ(table.find("b"), nullptr);
}

TEST(ReplayTable, FirstTokensOfAKeyStay) {
  ReplayTable table;
  table.record("a", Tokens{1});
  table.record("a", Tokens{2});
  EXPECT_EQ(tokens_of(table, "a"), Tokens{1});
}

TEST(ReplayTable, LeastRecentlyUsedGoFirst) {
  ReplayTable table({2, 1 << 20});
  table.record("a", Tokens{1});
  table.record("b", Tokens{2});
  (void)table.find("a");
  table.record("c", Tokens{3});
  EXPECT_NE(table.find("a"), nullptr);
  EXPECT_EQ(table.find("b"), nullptr);
  EXPECT_EQ(table.stats().evicted, 1u);
}

TEST(ReplayTable, BytesAreBounded) {
  ReplayTable table({1000, 10'000});
  for (int i = 0; i < 100; ++i) table.record(key(i), Tokens(500, i));
  EXPECT_LE(table.stats().bytes, 10'000u);
  EXPECT_NE(table.find(key(99)), nullptr);
  table.record("too large", Tokens(5000, 1));
  EXPECT_EQ(table.find("too large"), nullptr);
  EXPECT_NE(table.find(key(99)), nullptr);
}

TEST(ReplayTable, ManyThreads) {
  ReplayTable table({64, 1 << 20});
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&table] {
      for (int i = 0; i < 2000; ++i) {
        table.record(key(i % 100), tokens(i % 100));
        if (const auto entry = table.find(key(i * 7 % 100))) {
          EXPECT_EQ(entry->tokens, tokens(i * 7 % 100));
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(table.stats().entries, 64u);
}

TEST(ReplayLog, OutlivesTheTable) {
  MemoryFileSystem files;
  open_table(files)->record(std::string("k\0ey", 4), Tokens{5, 6, 7, 151'645});
  const auto again = open_table(files);
  EXPECT_EQ(tokens_of(*again, std::string("k\0ey", 4)), (Tokens{5, 6, 7, 151'645}));
  EXPECT_EQ(again->stats().loaded, 1u);
  again->record("new", Tokens{1});
  again->flush();
  EXPECT_EQ(tokens_of(*again, "new"), Tokens{1});
}

TEST(ReplayLog, FlushPutsEverythingIntoTheFile) {
  MemoryFileSystem files;
  const auto table = open_table(files);
  for (int i = 0; i < 10; ++i) table->record(key(i), tokens(i));
  table->flush();
  MemoryFileSystem copy;
  copy.put(kPath, files.contents(kPath));
  EXPECT_EQ(open_table(copy)->stats().loaded, 10u);
}

TEST(ReplayLog, AnotherModelsRecordsAreCountedAndLeftOut) {
  MemoryFileSystem files;
  files.put(kPath, log_of(3, "another"));
  const auto table = open_table(files);
  EXPECT_EQ(table->stats().skipped_foreign, 3u);
  EXPECT_EQ(table->stats().entries, 0u);
}

TEST(ReplayLog, SecondProcessReadsOnly) {
  MemoryFileSystem files;
  const auto first = open_table(files);
  first->record("a", Tokens{1});
  first->flush();
  const auto second = open_table(files);
  EXPECT_TRUE(second->stats().read_only);
  EXPECT_EQ(tokens_of(*second, "a"), Tokens{1});
  const auto before = files.contents(kPath);
  second->record("b", Tokens{2});
  second->flush();
  EXPECT_EQ(tokens_of(*second, "b"), Tokens{2});
  EXPECT_EQ(files.contents(kPath), before);
}

// Whatever length a crash leaves: what is whole is there, and what comes later is kept.
TEST(ReplayLog, TornTailAtEveryByte) {
  const auto whole = log_of(6);
  for (std::size_t size = 0; size <= whole.size(); ++size) {
    MemoryFileSystem files;
    files.put(kPath, {whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)});
    std::uint64_t loaded = 0;
    {
      const auto table = open_table(files);
      loaded = table->stats().loaded;
      for (int i = 0; i < 6; ++i) {
        EXPECT_EQ(tokens_of(*table, key(i)), static_cast<std::uint64_t>(i) < loaded ? tokens(i) : Tokens());
      }
      table->record("later", Tokens{9});
    }
    const auto again = open_table(files);
    EXPECT_EQ(again->stats().loaded, loaded + 1) << size;
    EXPECT_EQ(again->stats().skipped_torn, 0u) << size;
    EXPECT_EQ(tokens_of(*again, "later"), Tokens{9});
  }
}

TEST(ReplayLog, FlippedBitsCostTheirRecordAndNoOther) {
  const auto whole = log_of(6);
  for (std::size_t at = 32; at < whole.size(); ++at) {
    auto flipped = whole;
    flipped[at] ^= std::byte{1} << (at % 8);
    MemoryFileSystem files;
    files.put(kPath, flipped);
    const auto table = open_table(files);
    EXPECT_EQ(table->stats().loaded, 5u) << at;
    EXPECT_EQ(table->stats().skipped_torn, 1u) << at;
    for (int i = 0; i < 6; ++i) {
      const Tokens found = tokens_of(*table, key(i));
      EXPECT_TRUE(found.empty() || found == tokens(i)) << at;
    }
  }
}

TEST(ReplayLog, DamagedHeaderStartsAnew) {
  for (std::size_t at = 0; at < 32; ++at) {
    auto flipped = log_of(2);
    flipped[at] ^= std::byte{0x10};
    MemoryFileSystem files;
    files.put(kPath, flipped);
    {
      const auto table = open_table(files);
      EXPECT_EQ(table->stats().entries, 0u);
      EXPECT_EQ(table->stats().skipped_torn, 1u);
      table->record("new", Tokens{3});
    }
    EXPECT_EQ(tokens_of(*open_table(files), "new"), Tokens{3});
  }
}

// A conversation may quote the file: moved to another place, a record does not hold.
TEST(ReplayLog, RecordInsideADamagedRecordIsNotRead) {
  const auto donor = log_of(1);
  const std::string quoted(reinterpret_cast<const char*>(donor.data()) + 32, donor.size() - 32);
  MemoryFileSystem files;
  open_table(files)->record("four" + quoted, Tokens{1});  // key begins at 72: the quote at 76
  auto bytes = files.contents(kPath);
  for (std::size_t shift = 0; shift < 8; ++shift) {
    bytes[32] ^= std::byte{1};  // the enclosing record's magic
    MemoryFileSystem damaged;
    damaged.put(kPath, bytes);
    EXPECT_EQ(open_table(damaged)->stats().entries, 0u);
    bytes[32] ^= std::byte{1};
  }
}

TEST(ReplayLog, FailedWriteLosesThatTurnOnly) {
  MemoryFileSystem files;
  {
    const auto table = open_table(files);
    table->record(key(0), tokens(0));
    table->flush();
    files.tear_writes(1);
    table->record(key(1), tokens(1));
    table->flush();
    EXPECT_EQ(tokens_of(*table, key(1)), tokens(1));
    EXPECT_EQ(table->stats().write_errors, 1u);
    table->record(key(2), tokens(2));
  }
  const auto again = open_table(files);
  EXPECT_EQ(tokens_of(*again, key(0)), tokens(0));
  EXPECT_EQ(again->find(key(1)), nullptr);
  EXPECT_EQ(tokens_of(*again, key(2)), tokens(2));
}

void fill(ReplayTable& table, int from, int to) {
  for (int i = from; i < to; ++i) {
    table.record(key(i), Tokens(2000, i));
    if (i % 50 == 0) table.flush();
  }
  table.flush();
}

TEST(ReplayLog, IsWrittenAnewWhenItHasDoubled) {
  MemoryFileSystem files;
  {
    const auto table = open_table(files, "model", {100, 64 << 20});
    fill(*table, 0, 1000);
    EXPECT_GE(table->stats().compactions, 1u);
    EXPECT_LT(files.contents(kPath).size(), 2u * 100 * 8100 + (1 << 20));
  }
  const auto again = open_table(files, "model", {100, 64 << 20});
  EXPECT_EQ(again->stats().entries, 100u);
  EXPECT_EQ(again->stats().skipped_torn, 0u);
  for (int i = 900; i < 1000; ++i) EXPECT_EQ(tokens_of(*again, key(i)), Tokens(2000, i));
}

// Waits until what has been recorded so far is synced.
void settle(ReplayTable& table) {
  table.flush();
  const std::uint64_t before = table.stats().syncs;
  for (int i = 0; i < 2000 && table.stats().syncs == before; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  EXPECT_GT(table.stats().syncs, before);
}

TEST(ReplayLog, TurnsSurviveALossOfPowerWhileTheServerRuns) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    FakeFileSystem files(seed);
    ASSERT_TRUE(files.make_folder("cache").ok());
    ReplayLimits limits;
    limits.sync_seconds = 0.02;
    auto table = ReplayTable::open(files, kPath, "model", limits).value();
    for (int i = 0; i < 5; ++i) table->record(key(i), tokens(i));
    settle(*table);
    for (int i = 5; i < 10; ++i) table->record(key(i), tokens(i));
    table->flush();  // written, perhaps not synced: may be lost, in part and in any order
    files.crash(seed);
    const auto again = ReplayTable::open(files, kPath, "model", limits).value();
    for (int i = 0; i < 10; ++i) {
      const auto entry = again->find(key(i));
      EXPECT_TRUE(i >= 5 || entry) << i << ", seed " << seed;
      EXPECT_TRUE(!entry || entry->tokens == tokens(i)) << seed;
    }
  }
}

TEST(ReplayLog, ManyTurnsShareASync) {
  FakeFileSystem files;
  ASSERT_TRUE(files.make_folder("cache").ok());
  {
    const auto table = ReplayTable::open(files, kPath, "model").value();
    for (int i = 0; i < 500; ++i) table->record(key(i), tokens(i));
    table->flush();
    EXPECT_LE(table->stats().syncs, 2U) << "a second passes between two";
  }
  files.crash(7);
  EXPECT_EQ(ReplayTable::open(files, kPath, "model").value()->stats().entries, 500U);
}

TEST(ReplayLog, ForgettingTakesANamespaceOutOfTheFileToo) {
  MemoryFileSystem files;
  const auto key_in = [](const char* name_space, const char* text) {
    Message turn;
    turn.role = Role::kAssistant;
    turn.content = text;
    return replay_key(name_space, {}, turn);
  };
  {
    const auto table = open_table(files);
    table->record(key_in("mine", "first words"), Tokens{1});
    table->record(key_in("theirs", "other words"), Tokens{2});
    table->flush();
    EXPECT_EQ(namespace_of(key_in("mine", "x")), "mine");
    EXPECT_EQ(table->forget([](std::string_view name) { return name == "mine"; }), 1U);
    table->flush();
    EXPECT_EQ(table->find(key_in("mine", "first words")), nullptr);
    const auto bytes = files.contents(kPath);
    const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    EXPECT_EQ(text.find("first words"), std::string::npos);
    EXPECT_NE(text.find("other words"), std::string::npos);
    table->record(key_in("mine", "later"), Tokens{3});
  }
  const auto again = open_table(files);
  EXPECT_EQ(tokens_of(*again, key_in("theirs", "other words")), Tokens{2});
  EXPECT_EQ(tokens_of(*again, key_in("mine", "later")), Tokens{3});
  EXPECT_EQ(again->stats().entries, 2U);
}

TEST(ReplayLog, KeepsTheOldFileWhenTheNewOneCannotBePlaced) {
  MemoryFileSystem files;
  files.fail_renames(true);
  {
    const auto table = open_table(files, "model", {100, 64 << 20});
    fill(*table, 0, 1000);
    EXPECT_EQ(table->stats().compactions, 0u);
    EXPECT_GE(table->stats().write_errors, 1u);
    EXPECT_LT(table->stats().write_errors, 10u);  // it is not tried at every record
    files.fail_renames(false);
  }
  const auto again = open_table(files, "model", {100, 64 << 20});
  for (int i = 900; i < 1000; ++i) EXPECT_EQ(tokens_of(*again, key(i)), Tokens(2000, i));
}

}  // namespace
}  // namespace kvasir::chat
