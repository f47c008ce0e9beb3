#pragma once
// What tests of the native executor share: the golden texts, each real model loaded once, KV memory.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <tuple>
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

// Loading takes a second: each model is loaded once for each kernel variant and thread count.
inline Executor& model(const std::string& path, const kernels::KernelTable* table, std::size_t threads) {
  static std::map<std::tuple<std::string, std::string_view, std::size_t>, std::unique_ptr<Executor>> loaded;
  auto& slot = loaded[{path, table->name, threads}];
  if (!slot) {
    auto file = weights::GgufFile::open(path);
    EXPECT_TRUE(file.ok()) << file.error().message << " (make models)";
    auto executor =
        load_native(*file, {std::make_shared<ThreadPool>(threads), table, models::Precision::kStandard, {}});
    EXPECT_TRUE(executor.ok()) << executor.error().message;
    slot = std::move(executor).value();
  }
  return *slot;
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
};

inline std::vector<Case> real_models() {
  return {{"smollm2", test::smollm2()}, {"qwen2.5-coder", test::qwen_coder()}};
}

inline std::string case_name(const testing::TestParamInfo<Case>& info) {
  return info.param.name == "smollm2" ? "SmolLM2" : "Qwen2_5_Coder";
}

}  // namespace kvasir::executor
