// The cache's indexes with 1,000,000 blocks in them: what a look-up, an insertion and an eviction take, in
// memory (PrefixTree) and for the disk (DiskIndex). The limit to compare with: hashing and comparing the
// tokens of the same prompt.
//
// Conversations are drawn like agents': 12 system prompts of 8,192 tokens, and conversations of up to
// 102,400 tokens that fork from them and from each other.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <random>
#include <vector>

#include "kv/block_pool.h"
#include "kv/block_table.h"
#include "kv/disk_index.h"
#include "kv/prefix_tree.h"

namespace {

using namespace kvasir;      // NOLINT: a program of its own
using namespace kvasir::kv;  // NOLINT
using Clock = std::chrono::steady_clock;
using Tokens = std::vector<TokenId>;

constexpr std::uint32_t kBlocks = 1'000'000;
constexpr std::size_t kRounds = 200;
constexpr std::size_t kLongest = 102'400;

double microseconds_since(Clock::time_point begin) {
  return std::chrono::duration<double, std::micro>(Clock::now() - begin).count();
}

class Conversations {
 public:
  Tokens next() {
    Tokens tokens;
    if (made_.size() < 12) {
      grow(tokens, 8192);
    } else {
      const Tokens& parent = made_[random_() % made_.size()];
      tokens.assign(parent.begin(), parent.begin() + static_cast<std::ptrdiff_t>(random_() % parent.size()));
    }
    grow(tokens, std::min(kLongest, tokens.size() + 2000 + random_() % 40'000));
    if (made_.size() < 2000) made_.push_back(tokens);
    return tokens;
  }
  // One of those that were made, as long as asked.
  const Tokens& one_of(std::size_t tokens) {
    while (true) {
      const Tokens& some = made_[random_() % made_.size()];
      if (some.size() >= tokens) return some;
    }
  }

 private:
  void grow(Tokens& tokens, std::size_t size) {
    while (tokens.size() < size) tokens.push_back(static_cast<TokenId>(random_() % 150'000));
  }
  std::mt19937_64 random_{1};
  std::vector<Tokens> made_;
};

struct Times {
  double median = 0;
  double most = 0;
};

template <class Work>
Times times_of(Work work) {
  std::vector<double> all;
  for (std::size_t i = 0; i < kRounds; ++i) all.push_back(work());
  std::ranges::sort(all);
  return {all[all.size() / 2], all.back()};
}

void report(const char* name, std::size_t tokens, const Times& times) {
  const double blocks = static_cast<double>(tokens) / kBlockTokens;
  std::printf("%-34s %7zu tokens %9.1f us (most %8.1f)   %6.3f us a block\n", name, tokens, times.median,
              times.most, times.median / blocks);
}

// What any look-up by content has to do.
Times hashing(Conversations& conversations, std::size_t tokens) {
  std::uint64_t sum = 0;
  const Times times = times_of([&] {
    const Tokens& prompt = conversations.one_of(tokens);
    const auto begin = Clock::now();
    BlockKey key;
    for (std::size_t at = 0; at + kBlockTokens <= tokens; at += kBlockTokens) {
      key = hash_block(key, std::span(prompt).subspan(at, kBlockTokens));
    }
    sum += key.low;
    return microseconds_since(begin);
  });
  if (sum == 1) std::printf("\n");  // so that it is computed
  return times;
}

void memory_tier(Conversations& conversations) {
  auto pool = BlockPool::create(kBlocks, 16).value();
  PrefixTree tree(*pool, "bench");
  const auto add = [&tree](const Tokens& tokens) {
    BlockTable table(tree, "", true);
    const std::uint32_t found = table.open(tokens);
    if (!table.reserve(static_cast<std::uint32_t>(tokens.size()))) std::printf("no room\n");
    table.close(tokens, static_cast<std::uint32_t>(tokens.size()));
    return blocks_for(tokens.size()) - found / kBlockTokens;
  };
  const auto fill_begin = Clock::now();
  while (pool->counts().free > kLongest / kBlockTokens) add(conversations.next());
  std::printf("prefix tree: %u blocks in %.1f s, %zu conversations\n", pool->counts().cached,
              microseconds_since(fill_begin) / 1e6, tree.conversations({}).size());
  for (const std::size_t tokens : {std::size_t{10'240}, kLongest}) {
    report("  hashing alone", tokens, hashing(conversations, tokens));
    report("  look-up", tokens, times_of([&] {
             const std::span<const TokenId> prompt = std::span(conversations.one_of(tokens)).first(tokens);
             const auto begin = Clock::now();
             const MatchResult match = tree.match("", prompt);
             const double us = microseconds_since(begin);
             if (match.tokens() < tokens / 2) std::printf("missed\n");
             return us;
           }));
  }
  // The pool is full from here on: every new block evicts one.
  while (pool->counts().free > 0) add(conversations.next());
  std::vector<double> per_block;
  for (std::size_t i = 0; i < kRounds; ++i) {
    const Tokens tokens = conversations.next();
    const auto begin = Clock::now();
    const std::uint32_t fresh = add(tokens);
    if (fresh > 0) per_block.push_back(microseconds_since(begin) / fresh);
  }
  std::ranges::sort(per_block);
  std::printf("  insertion that evicts, look-up of its own past included: %.2f us a new block (most %.2f)\n",
              per_block[per_block.size() / 2], per_block.back());
  const auto begin = Clock::now();
  std::uint32_t gone = 0;
  std::uint32_t slices = 0;
  for (std::uint32_t now = 1; now > 0; ++slices) gone += now = tree.forget({}, 4096);
  std::printf("  clearing: %u blocks in %u slices of %.0f us\n", gone, slices,
              microseconds_since(begin) / slices);
}

void disk_tier(Conversations& conversations) {
  DiskIndex index("bench", hash_block);
  std::uint64_t offset = kPageBytes;
  std::uint64_t appended = 0;
  const auto add = [&](const Tokens& tokens) {
    BlockKey parent = index.root_key("");
    for (std::size_t at = 0; at + kBlockTokens <= tokens.size(); at += kBlockTokens) {
      const auto block = std::span(tokens).subspan(at, kBlockTokens);
      if (index.stored("", parent, block) < kBlockTokens) {
        auto header = index.plan("", parent, block, 0);
        header->segment = 1;
        header->offset = offset += 2 * kPageBytes;
        header->payload_bytes = kPageBytes;
        (void)index.add(std::move(*header));
        ++appended;
      }
      parent = hash_block(parent, block);
    }
  };
  auto begin = Clock::now();
  while (index.records() < kBlocks) add(conversations.next());
  std::printf("disk index: %llu records in %.1f s\n", static_cast<unsigned long long>(index.records()),
              microseconds_since(begin) / 1e6);
  for (const std::size_t tokens : {std::size_t{10'240}, kLongest}) {
    report("  look-up", tokens, times_of([&] {
             const std::span<const TokenId> prompt = std::span(conversations.one_of(tokens)).first(tokens);
             const auto start = Clock::now();
             const DiskMatch match = index.match("", prompt, 0);
             const double us = microseconds_since(start);
             if (match.tokens < tokens / 2) std::printf("missed\n");
             return us;
           }));
  }
  begin = Clock::now();
  constexpr int kEvictions = 100'000;
  for (int i = 0; i < kEvictions; ++i) (void)index.evict(std::nullopt);
  std::printf("  eviction: %.2f us a record\n", microseconds_since(begin) / kEvictions);
}

}  // namespace

int main() {
  Conversations in_memory;
  memory_tier(in_memory);
  Conversations on_disk;
  disk_tier(on_disk);
}
