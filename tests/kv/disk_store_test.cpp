#include "kv/disk_store.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <numeric>

namespace kvasir::kv {
namespace {

using Tokens = std::vector<TokenId>;
constexpr std::size_t kTokenBytes = 8;

// The KV of a token here is its number and position, so that what is read can be told apart.
std::vector<std::byte> payload_of(std::span<const TokenId> tokens, std::uint32_t first) {
  std::vector<std::byte> out;
  for (std::size_t i = first; i < tokens.size(); ++i) {
    for (int b = 0; b < 4; ++b) out.push_back(static_cast<std::byte>(tokens[i] >> (8 * b) & 0xff));
    for (int b = 0; b < 4; ++b) out.push_back(static_cast<std::byte>(i >> (8 * b) & 0xff));
  }
  return out;
}

Tokens counting(TokenId from, std::size_t count) {
  Tokens tokens(count);
  std::iota(tokens.begin(), tokens.end(), from);
  return tokens;
}

class DiskStoreOnSystemFiles : public ::testing::Test {
 protected:
  DiskStoreOnSystemFiles() {
    std::string pattern = (std::filesystem::temp_directory_path() / "kvasir-store-XXXXXX").string();
    options_.folder = std::string(::mkdtemp(pattern.data())) + "/kv";
    options_.root_name = "model";
    options_.label = "a model";
    options_.block_bytes = kBlockTokens * kTokenBytes;
    options_.capacity_bytes = 1 << 20;
    reopen();
  }
  ~DiskStoreOnSystemFiles() override {
    store_.reset();
    std::filesystem::remove_all(std::filesystem::path(options_.folder).parent_path());
  }
  void reopen() {
    store_.reset();
    store_ = std::move(DiskStore::open(system_files(), options_)).value();
  }
  // Appends what is missing of a sequence.
  void keep(std::span<const TokenId> tokens) {
    BlockKey parent = store_->root_key("ns");
    for (; !tokens.empty(); tokens = tokens.subspan(std::min<std::size_t>(tokens.size(), kBlockTokens))) {
      const auto block = tokens.first(std::min<std::size_t>(tokens.size(), kBlockTokens));
      const auto have = store_->stored("ns", parent, block);
      if (have < block.size()) {
        ASSERT_TRUE(store_->append("ns", parent, block, have, payload_of(block, have)).ok());
      }
      parent = hash_block(parent, block);
    }
  }
  void expect_served(std::span<const TokenId> tokens, std::uint32_t from, std::uint32_t upto) {
    const DiskMatch match = store_->match("ns", tokens, from);
    EXPECT_EQ(match.tokens, upto);
    std::uint32_t at = from;
    for (const DiskRead& read : match.reads) {
      std::vector<std::byte> out(store_->payload_bytes(read.record));
      ASSERT_TRUE(store_->read(read.record, out).ok());
      const std::uint32_t start = read.block_index * kBlockTokens;
      ASSERT_EQ(start + read.first, at);
      at = start + read.last;
      const auto wanted = payload_of(tokens.subspan(start, read.last), read.first);
      const auto got = std::span(out).subspan((read.first - read.record_first) * kTokenBytes, wanted.size());
      EXPECT_TRUE(std::ranges::equal(got, wanted));
    }
    EXPECT_EQ(at, upto);
    store_->check_invariants();
  }

  DiskStoreOptions options_;
  std::unique_ptr<DiskStore> store_;
};

TEST_F(DiskStoreOnSystemFiles, ASequenceIsFoundAgainAfterARestart) {
  const Tokens tokens = counting(0, 200);
  keep(tokens);
  ASSERT_TRUE(store_->sync().ok());
  expect_served(tokens, 0, 200);
  reopen();
  EXPECT_EQ(store_->warning(), "");
  expect_served(tokens, 0, 200);
  expect_served(tokens, 64, 200);
  expect_served(std::span(tokens).first(150), 0, 150);
}

TEST_F(DiskStoreOnSystemFiles, ABlockGrowsByPieces) {
  for (const std::size_t length : {70, 90, 128, 130}) keep(counting(0, length));
  EXPECT_EQ(store_->stats().records, 5U);
  EXPECT_EQ(store_->stats().tokens, 130U);
  reopen();
  expect_served(counting(0, 140), 0, 130);
  expect_served(counting(0, 80), 0, 80);
}

TEST_F(DiskStoreOnSystemFiles, ASecondStoreReadsOnly) {
  keep(counting(0, 100));
  auto second = std::move(DiskStore::open(system_files(), options_)).value();
  EXPECT_NE(second->warning(), "");
  EXPECT_TRUE(second->stats().read_only);
  EXPECT_EQ(second->match("ns", counting(0, 100), 0).tokens, 100U);
}

TEST_F(DiskStoreOnSystemFiles, TheBudgetIsKept) {
  for (int i = 0; i < 300; ++i) {
    keep(counting(1000 * i, 100));
    ASSERT_LE(store_->stats().bytes, options_.capacity_bytes);
  }
  EXPECT_GT(store_->stats().evicted_records, 0U);
  expect_served(counting(299000, 100), 0, 100);
  reopen();
  expect_served(counting(299000, 100), 0, 100);
}

}  // namespace
}  // namespace kvasir::kv
