#pragma once
// A DiskStore on a fake file system, and the judge of what it serves: the payload of a token is a hash of the
// namespace and of every token up to it, so KV of any other path is told apart at once.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <string>
#include <vector>

#include "kv/disk_store.h"
#include "support/fake_file_system.h"

namespace kvasir::kv {

using Tokens = std::vector<TokenId>;
inline constexpr std::size_t kTokenBytes = 8;

inline Tokens counting(TokenId from, std::size_t count) {
  Tokens tokens(count);
  std::iota(tokens.begin(), tokens.end(), from);
  return tokens;
}

// The KV of tokens [first, last) of a sequence.
inline std::vector<std::byte> kv_of(std::string_view name_space, std::span<const TokenId> tokens,
                                    std::size_t first, std::size_t last) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : name_space) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  std::vector<std::byte> out((last - first) * kTokenBytes);
  for (std::size_t i = 0; i < last; ++i) {
    hash = (hash ^ static_cast<std::uint32_t>(tokens[i])) * 0x9e3779b97f4a7c15;
    hash ^= hash >> 29;
    if (i >= first) std::memcpy(out.data() + (i - first) * kTokenBytes, &hash, sizeof(hash));
  }
  return out;
}

class DiskWorld {
 public:
  explicit DiskWorld(std::uint64_t seed = 1) : files(seed) {
    options.folder = "/kv";
    options.root_name = "model";
    options.label = "a model";
    options.block_bytes = kBlockTokens * kTokenBytes;
    options.capacity_bytes = 1 << 20;
    options.segment_bytes = 64 << 10;
  }

  DiskStore& open() {
    store.reset();
    store = std::move(DiskStore::open(files, options)).value();
    store->check_invariants();
    return *store;
  }
  DiskStore& crash(std::uint64_t seed) {
    files.crash(seed);
    return open();
  }

  // Appends what is missing of a sequence, as the server would.
  Status keep(std::string_view name_space, std::span<const TokenId> tokens) {
    BlockKey parent = store->root_key(name_space);
    for (std::size_t start = 0; start < tokens.size(); start += kBlockTokens) {
      const std::size_t count = std::min<std::size_t>(kBlockTokens, tokens.size() - start);
      const auto block = tokens.subspan(start, count);
      const std::uint32_t have = store->stored(name_space, parent, block);
      if (have < count) {
        KVASIR_RETURN_IF_ERROR(
            store->append(name_space, parent, block, have,
                          kv_of(name_space, tokens.first(start + count), start + have, start + count),
                          tokens.first(start)));
      }
      parent = options.key_function(parent, block);
    }
    return {};
  }

  // Matches and reads; fails the test for a single wrong byte. Returns how many tokens were really served.
  std::uint32_t serve(std::string_view name_space, std::span<const TokenId> tokens, std::uint32_t from = 0) {
    const DiskMatch match = store->match(name_space, tokens, from);
    EXPECT_LE(match.tokens, std::max<std::size_t>(tokens.size(), from));
    std::uint32_t at = from;
    for (const DiskRead& read : match.reads) {
      const std::uint32_t start = read.block_index * kBlockTokens;
      EXPECT_EQ(start + read.first, at) << "reads follow each other";
      EXPECT_TRUE(read.record_first <= read.first && read.first < read.last && read.last <= read.record_last);
      std::vector<std::byte> out(store->payload_bytes(read.record));
      if (out.empty() || !store->read(read.record, out).ok()) return at;
      if (out.size() != (read.record_last - read.record_first) * kTokenBytes) {
        ADD_FAILURE() << "a payload of another size";
        return at;
      }
      const auto wanted = kv_of(name_space, tokens, start + read.first, start + read.last);
      const auto got = std::span(out).subspan((read.first - read.record_first) * kTokenBytes, wanted.size());
      EXPECT_TRUE(std::ranges::equal(got, wanted)) << "a wrong payload was served";
      at = start + read.last;
    }
    EXPECT_EQ(at, match.tokens) << "the reads bring what the match promised";
    return at;
  }

  std::vector<std::string> segments() const {
    std::vector<std::string> found;
    for (const std::string& path : files.paths()) {
      if (path.ends_with(".kvs")) found.push_back(path);
    }
    return found;
  }

  FakeFileSystem files;
  DiskStoreOptions options;
  std::unique_ptr<DiskStore> store;
};

}  // namespace kvasir::kv
