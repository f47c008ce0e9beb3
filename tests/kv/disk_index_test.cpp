// The index alone, at the size of a large disk.

#include "kv/disk_index.h"

#include <gtest/gtest.h>

#include <chrono>
#include <numeric>

namespace kvasir::kv {
namespace {

using Tokens = std::vector<TokenId>;

struct Path {
  BlockKey key;
  Hash128 hash;
};

Path root() {
  return {hash_root("model", "ns"), root_path("model", "ns")};
}

// Adds a record as if it lay on disk; returns what continues it.
Path add(DiskIndex& index, const Path& parent, std::span<const TokenId> tokens, std::uint64_t number) {
  RecordHeader header;
  header.segment = static_cast<std::uint32_t>(number >> 8);
  header.offset = (number & 255) * 8192;
  header.key = hash_block(parent.key, tokens);
  header.parent = parent.key;
  header.parent_path = parent.hash;
  header.tokens.assign(tokens.begin(), tokens.end());
  header.name_space = "ns";
  header.payload_bytes = 1;
  header.priority = 1;
  const Path path{header.key, extend_path(parent.hash, tokens)};
  EXPECT_EQ(index.add(std::move(header)), DiskIndex::Added::kLinked);
  return path;
}

TEST(DiskIndex, AMillionRecordsAreFoundInMicroseconds) {
  constexpr std::uint64_t kConversations = 200'000;
  DiskIndex index("model", hash_block);
  std::uint64_t number = 0;
  // A full block and four tails that continue it each.
  for (std::uint64_t i = 0; i < kConversations; ++i) {
    Tokens block(kBlockTokens, static_cast<TokenId>(i));
    const Path key = add(index, root(), block, number++);
    for (TokenId tail = 0; tail < 4; ++tail) {
      const Tokens tokens{static_cast<TokenId>(i), tail};
      add(index, key, tokens, number++);
    }
  }
  EXPECT_EQ(index.records(), 1'000'000U);
  const auto start = std::chrono::steady_clock::now();
  constexpr std::uint64_t kLookups = 20'000;
  std::uint64_t reads = 0;
  for (std::uint64_t i = 0; i < kLookups; ++i) {
    const auto conversation = static_cast<TokenId>(i * 7919 % kConversations);
    Tokens tokens(kBlockTokens, conversation);
    tokens.insert(tokens.end(), {conversation, 3, 9});
    const DiskMatch match = index.match("ns", tokens, 0);
    ASSERT_EQ(match.tokens, 66U);
    reads += match.reads.size();
  }
  const auto taken = std::chrono::steady_clock::now() - start;
  RecordProperty("nanoseconds_per_lookup", static_cast<int>(std::chrono::nanoseconds(taken).count() /
                                                            static_cast<std::int64_t>(kLookups)));
  EXPECT_EQ(reads, 2 * kLookups);
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(index.evict(std::nullopt).has_value());
  index.check_invariants();
}

TEST(DiskIndex, RecordsMayComeInAnyOrder) {
  // Ten blocks in a chain, each in two pieces, added from the last to the first.
  DiskIndex first("model", hash_block);
  Tokens tokens(640);
  std::iota(tokens.begin(), tokens.end(), 0);
  std::vector<RecordHeader> headers;
  BlockKey parent = first.root_key("ns");
  for (std::size_t block = 0; block < 10; ++block) {
    const auto here = std::span(tokens).subspan(block * kBlockTokens, kBlockTokens);
    for (const std::uint32_t upto : {20U, 64U}) {
      auto header = first.plan("ns", parent, here.first(upto), upto == 20 ? 0 : 20);
      ASSERT_TRUE(header.has_value());
      header->offset = headers.size() * 8192;
      header->payload_bytes = 1;
      headers.push_back(*header);
      ASSERT_EQ(first.add(*header), DiskIndex::Added::kLinked);
    }
    parent = headers.back().key;
  }
  DiskIndex second("model", hash_block);
  for (std::size_t i = headers.size(); i-- > 1;) {
    EXPECT_EQ(second.add(headers[i]), DiskIndex::Added::kWaiting);
  }
  EXPECT_EQ(second.match("ns", tokens, 0).tokens, 0U);
  EXPECT_EQ(second.add(headers[0]), DiskIndex::Added::kLinked);
  EXPECT_EQ(second.match("ns", tokens, 0).tokens, 640U);
  EXPECT_EQ(second.match("ns", tokens, 0).reads.size(), 20U);
  EXPECT_EQ(second.leaves(), 1U);
  EXPECT_TRUE(second.take_orphans().empty());
  second.check_invariants();
}

TEST(DiskIndex, RemovingARecordRemovesAllThatContinuesIt) {
  DiskIndex index("model", hash_block);
  const Tokens block(kBlockTokens, 1);
  const Path key = add(index, root(), block, 0);
  add(index, key, Tokens(kBlockTokens, 2), 1);
  add(index, key, Tokens(3, 3), 2);
  add(index, root(), Tokens(5, 4), 3);
  const auto match = index.match("ns", block, 0);
  EXPECT_EQ(index.remove(match.reads.at(0).record).size(), 3U);
  EXPECT_EQ(index.records(), 1U);
  EXPECT_TRUE(index.remove(match.reads.at(0).record).empty()) << "an id is never another record's";
  index.check_invariants();
}

}  // namespace
}  // namespace kvasir::kv
