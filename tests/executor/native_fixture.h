#pragma once
// What tests of the native executor share: the golden texts, each real model loaded once, KV memory.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <list>
#include <memory>
#include <random>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "executor/native.h"
#include "support/models.h"

namespace kvasir::executor {

// tests/models/golden/*.bin; the format is in tools/oracle/make_logits_golden.py.
struct Golden {
  std::vector<TokenId> tokens;
  float llama_kl = 0;
  float llama_top1 = 0;
  std::size_t top = 0;
  std::vector<std::int32_t> ids;  // (tokens, top)
  std::vector<float> log_probs;   // (tokens, top)
};

inline Golden read_golden(const std::string& name) {
  std::ifstream in("tests/models/golden/" + name + ".bin", std::ios::binary);
  EXPECT_TRUE(in.good()) << "run from the repository's root";
  std::uint32_t head[4] = {};
  in.read(reinterpret_cast<char*>(head), sizeof(head));
  EXPECT_EQ(head[0], 0x474C564BU);
  Golden g;
  g.tokens.resize(head[2]);
  g.top = head[3];
  in.read(reinterpret_cast<char*>(g.tokens.data()), static_cast<std::streamsize>(g.tokens.size() * 4));
  in.read(reinterpret_cast<char*>(&g.llama_kl), 4);
  in.read(reinterpret_cast<char*>(&g.llama_top1), 4);
  g.ids.resize(g.tokens.size() * g.top);
  g.log_probs.resize(g.ids.size());
  for (std::size_t t = 0; t < g.tokens.size(); ++t) {
    in.read(reinterpret_cast<char*>(g.ids.data() + t * g.top), static_cast<std::streamsize>(g.top * 4));
    in.read(reinterpret_cast<char*>(g.log_probs.data() + t * g.top), static_cast<std::streamsize>(g.top * 4));
  }
  EXPECT_TRUE(in.good());
  return g;
}

// Loading takes a second and the weights' size: the last few that were asked for stay.
inline Executor& model(const std::string& path, const NativeOptions& options, std::size_t threads) {
  constexpr std::size_t kKept = 4;
  using Key =
      std::tuple<std::string, const kernels::KernelTable*, models::Precision, kernels::KvType, std::size_t>;
  static std::list<std::pair<Key, std::unique_ptr<Executor>>> loaded;
  const Key key{path, options.kernels, options.precision, options.kv_type, threads};
  const auto found = std::ranges::find(loaded, key, [](const auto& entry) { return entry.first; });
  if (found != loaded.end()) {
    loaded.splice(loaded.begin(), loaded, found);
    return *loaded.front().second;
  }
  if (loaded.size() == kKept) loaded.pop_back();
  auto file = weights::open_checkpoint(path);
  EXPECT_TRUE(file.ok()) << file.error().message << " (make models)";
  NativeOptions with_pool = options;
  with_pool.pool = std::make_shared<ThreadPool>(threads);
  auto executor = load_native(*file, std::move(with_pool));
  EXPECT_TRUE(executor.ok()) << executor.error().message;
  loaded.emplace_front(key, std::move(executor).value());
  return *loaded.front().second;
}

// KV memory with a block table of its own for each sequence, in shuffled places.
class Memory {
 public:
  Memory(const Executor& e, std::size_t blocks)
      : block_bytes_(e.describe().kv_bytes_per_block), data_(blocks * block_bytes_) {
    for (std::size_t i = 0; i < blocks; ++i) free_.push_back(BlockId{static_cast<std::uint32_t>(i)});
    std::shuffle(free_.begin(), free_.end(), std::mt19937(7));
  }
  std::vector<BlockId> take(std::size_t tokens) {
    std::vector<BlockId> table;
    for (std::size_t i = 0; i < (tokens + kBlockTokens - 1) / kBlockTokens; ++i) {
      table.push_back(free_.back());
      free_.pop_back();
    }
    return table;
  }
  void copy(BlockId from, BlockId to) {
    std::memcpy(data_.data() + index_of(to) * block_bytes_, data_.data() + index_of(from) * block_bytes_,
                block_bytes_);
  }
  std::span<std::byte> block(BlockId id) {
    return std::span(data_).subspan(index_of(id) * block_bytes_, block_bytes_);
  }
  KvStorage storage() { return {data_.data(), block_bytes_}; }

 private:
  std::size_t block_bytes_;
  std::vector<std::byte> data_;
  std::vector<BlockId> free_;
};

inline std::vector<float> forward(Executor& e, Memory& memory, std::vector<SequenceSpan> batch) {
  std::size_t rows = 0;
  for (const SequenceSpan& s : batch) rows += s.logits_rows;
  std::vector<float> logits(rows * e.describe().vocab_size);
  const Status status = e.forward(batch, memory.storage(), logits);
  EXPECT_TRUE(status.ok());
  return logits;
}

inline std::vector<float> whole(Executor& e, const std::vector<TokenId>& tokens) {
  Memory memory(e, tokens.size() / kBlockTokens + 2);
  const auto table = memory.take(tokens.size());
  return forward(e, memory, {{tokens, 0, table, static_cast<std::uint32_t>(tokens.size())}});
}

inline bool same(const float* a, const float* b, std::size_t n) {
  return std::memcmp(a, b, n * sizeof(float)) == 0;
}

// The golden text, repeated up to n tokens.
inline std::vector<TokenId> golden_prompt(const std::string& name, std::size_t n) {
  const Golden g = read_golden(name);
  std::vector<TokenId> tokens;
  while (tokens.size() < n) tokens.push_back(g.tokens[tokens.size() % g.tokens.size()]);
  return tokens;
}

struct Case {
  std::string name;  // of the golden file
  std::string path;
  kernels::KvType kv_type = kernels::KvType::kF16;
};

// Both models with the default type of KV, and the smaller one with each that a user can choose.
inline std::vector<Case> real_models() {
  std::vector<Case> cases{{"qwen2.5-coder", test::qwen_coder()}};
  for (const auto type : {kernels::KvType::kF16, kernels::KvType::kBf16, kernels::KvType::kQ8}) {
    cases.push_back({"smollm2", test::smollm2(), type});
  }
  return cases;
}

inline std::string case_name(const testing::TestParamInfo<Case>& info) {
  return (info.param.name == "smollm2" ? "SmolLM2_" : "Qwen2_5_Coder_") +
         std::string(kernels::name_of(info.param.kv_type));
}

// 8-bit activations, so that what must be exact is exact where it is hardest.
inline Executor& model(const Case& c, const kernels::KernelTable* table, std::size_t threads) {
  return model(c.path, {{}, table, models::Precision::kStandard, c.kv_type, {}}, threads);
}

}  // namespace kvasir::executor
