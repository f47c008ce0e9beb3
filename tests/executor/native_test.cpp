// The native executor on the two real models: its logits against an outside judge, and promise 1 on full
// logits.

#include "executor/native.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <map>
#include <random>

#include "support/models.h"

namespace kvasir::executor {
namespace {

// tests/models/golden/*.bin; the format is in tools/oracle/make_logits_golden.py.
struct Golden {
  std::vector<TokenId> tokens;
  float llama_kl = 0;
  float llama_top1 = 0;
  std::size_t top = 0;
  std::vector<std::int32_t> ids;  // (tokens, top)
  std::vector<float> log_probs;   // (tokens, top)
};

Golden read_golden(const std::string& name) {
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

struct Fidelity {
  double kl = 0;
  double top1 = 0;
};

// KL(judge || ours) over the judge's top tokens and one bucket for the rest, as the golden's own llama.cpp
// figure.
Fidelity compare(const Golden& g, const std::vector<float>& logits, std::size_t vocab) {
  Fidelity f;
  for (std::size_t t = 0; t < g.tokens.size(); ++t) {
    const float* row = logits.data() + t * vocab;
    const float most = *std::max_element(row, row + vocab);
    double sum = 0;
    for (std::size_t i = 0; i < vocab; ++i) sum += std::exp(static_cast<double>(row[i]) - most);
    double p_rest = 1;
    double q_rest = 1;
    for (std::size_t i = 0; i < g.top; ++i) {
      const double p = std::exp(static_cast<double>(g.log_probs[t * g.top + i]));
      const double log_q = row[g.ids[t * g.top + i]] - most - std::log(sum);
      f.kl += p * (g.log_probs[t * g.top + i] - log_q);
      p_rest -= p;
      q_rest -= std::exp(log_q);
    }
    p_rest = std::max(p_rest, 1e-12);
    f.kl += p_rest * std::log(p_rest / std::max(q_rest, 1e-12));
    f.top1 += row[g.ids[t * g.top]] == most ? 1 : 0;
  }
  f.kl /= static_cast<double>(g.tokens.size());
  f.top1 /= static_cast<double>(g.tokens.size());
  return f;
}

// Loading takes a second: each model is loaded once for each kernel variant and thread count.
Executor& model(const std::string& path, const kernels::KernelTable* table, std::size_t threads) {
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
  KvStorage storage() { return {data_.data(), block_bytes_}; }

 private:
  std::size_t block_bytes_;
  std::vector<std::byte> data_;
  std::vector<BlockId> free_;
};

std::vector<float> forward(Executor& e, Memory& memory, std::vector<SequenceSpan> batch) {
  std::size_t rows = 0;
  for (const SequenceSpan& s : batch) rows += s.logits_rows;
  std::vector<float> logits(rows * e.describe().vocab_size);
  const Status status = e.forward(batch, memory.storage(), logits);
  EXPECT_TRUE(status.ok());
  return logits;
}

std::vector<float> whole(Executor& e, const std::vector<TokenId>& tokens) {
  Memory memory(e, tokens.size() / kBlockTokens + 2);
  const auto table = memory.take(tokens.size());
  return forward(e, memory, {{tokens, 0, table, static_cast<std::uint32_t>(tokens.size())}});
}

bool same(const float* a, const float* b, std::size_t n) {
  return std::memcmp(a, b, n * sizeof(float)) == 0;
}

struct Case {
  std::string name;
  std::string path;
};

class NativeExecutor : public testing::TestWithParam<Case> {
 protected:
  Executor& best(std::size_t threads = 2) {
    return model(GetParam().path, kernels::available_kernels().back(), threads);
  }
  // A prompt of about two and a half blocks: the golden text, repeated.
  std::vector<TokenId> prompt(std::size_t n) {
    const Golden g = read_golden(GetParam().name);
    std::vector<TokenId> tokens;
    while (tokens.size() < n) tokens.push_back(g.tokens[tokens.size() % g.tokens.size()]);
    return tokens;
  }
};

INSTANTIATE_TEST_SUITE_P(Models, NativeExecutor,
                         testing::Values(Case{"smollm2", test::smollm2()},
                                         Case{"qwen2.5-coder", test::qwen_coder()}),
                         [](const auto& model) {
                           return model.param.name == "smollm2" ? "SmolLM2" : "Qwen2_5_Coder";
                         });

TEST_P(NativeExecutor, LogitsAreNoFurtherFromTheJudgeThanLlamaCpps) {
  const Golden g = read_golden(GetParam().name);
  const Fidelity f = compare(g, whole(best(), g.tokens), best().describe().vocab_size);
  std::printf("%s: KL %.6f (llama.cpp %.6f), top-1 %.4f (llama.cpp %.4f)\n", GetParam().name.c_str(), f.kl,
              g.llama_kl, f.top1, g.llama_top1);
  EXPECT_LE(f.kl, g.llama_kl);
  EXPECT_GE(f.top1, g.llama_top1 - 1e-6);  // the golden's figure is an f32
}

TEST_P(NativeExecutor, HighPrecisionGivesTheJudgesLogits) {
  const Golden g = read_golden(GetParam().name);
  auto file = weights::GgufFile::open(GetParam().path);
  ASSERT_TRUE(file.ok());
  auto high = load_native(*file, {std::make_shared<ThreadPool>(2), nullptr, models::Precision::kHigh, {}});
  ASSERT_TRUE(high.ok());
  const Fidelity f = compare(g, whole(**high, g.tokens), (*high)->describe().vocab_size);
  EXPECT_LE(f.kl, g.llama_kl / 4);
  EXPECT_GE(f.top1, 0.99);
}

TEST_P(NativeExecutor, LogitsDoNotDependOnHowThePromptWasCut) {
  Executor& e = best();
  const auto tokens = prompt(160);
  const std::size_t vocab = e.describe().vocab_size;
  const auto expected = whole(e, tokens);
  for (const std::uint32_t seed : {1U, 2U}) {
    std::mt19937 rng(seed);
    Memory memory(e, 8);
    const auto table = memory.take(tokens.size());
    for (std::size_t at = 0; at < tokens.size();) {
      const std::size_t n =
          std::min<std::size_t>(tokens.size() - at, std::uniform_int_distribution<std::size_t>(1, 40)(rng));
      const auto logits = forward(e, memory,
                                  {{std::span(tokens).subspan(at, n), static_cast<std::uint32_t>(at), table,
                                    static_cast<std::uint32_t>(n)}});
      ASSERT_TRUE(same(logits.data(), expected.data() + at * vocab, n * vocab))
          << "chunk at " << at << " of " << n;
      at += n;
    }
  }
}

TEST_P(NativeExecutor, LogitsDoNotDependOnBatchMates) {
  Executor& e = best();
  const std::size_t vocab = e.describe().vocab_size;
  const auto a = prompt(150);
  std::vector<TokenId> b(a.rbegin(), a.rend());
  const auto expected_a = whole(e, a);
  const auto expected_b = whole(e, b);
  Memory memory(e, 16);
  const auto table_a = memory.take(a.size());
  const auto table_b = memory.take(b.size());
  const auto table_c = memory.take(40);
  // One step with a prefill of a, a decode of b and a short prompt: three mates of different kinds.
  forward(e, memory, {{std::span(b).first(149), 0, table_b, 0}});
  const auto logits = forward(e, memory,
                              {{a, 0, table_a, 3},
                               {std::span(b).subspan(149, 1), 149, table_b, 1},
                               {std::span(a).first(40), 0, table_c, 1}});
  EXPECT_TRUE(same(logits.data(), expected_a.data() + 147 * vocab, 3 * vocab));
  EXPECT_TRUE(same(logits.data() + 3 * vocab, expected_b.data() + 149 * vocab, vocab));
  EXPECT_TRUE(same(logits.data() + 4 * vocab, expected_a.data() + 39 * vocab, vocab));
}

TEST_P(NativeExecutor, LogitsAfterACopiedPartOfABlockAreTheUncachedOnes) {
  Executor& e = best();
  const std::size_t vocab = e.describe().vocab_size;
  const auto parent = prompt(128);
  auto child = parent;
  for (std::size_t i = 100; i < child.size(); ++i) child[i] = parent[child.size() - i];
  const auto expected = whole(e, child);
  Memory memory(e, 8);
  const auto parent_table = memory.take(parent.size());
  auto child_table = memory.take(parent.size());
  forward(e, memory, {{parent, 0, parent_table, 1}});
  child_table[0] = parent_table[0];              // shared whole
  memory.copy(parent_table[1], child_table[1]);  // 36 of its 64 places match
  const auto logits = forward(e, memory, {{std::span(child).subspan(100), 100, child_table, 28}});
  EXPECT_TRUE(same(logits.data(), expected.data() + 100 * vocab, 28 * vocab));
}

TEST_P(NativeExecutor, LogitsDoNotDependOnTheThreadCount) {
  const auto tokens = prompt(100);
  EXPECT_EQ(whole(best(1), tokens), whole(best(2), tokens));
}

TEST_P(NativeExecutor, EveryKernelVariantIsExactAndAgrees) {
  const auto tokens = prompt(72);
  const auto expected = whole(best(), tokens);
  for (const kernels::KernelTable* table : kernels::available_kernels()) {
    if (table->name == "scalar" && GetParam().name != "smollm2") continue;  // minutes on the larger model
    Executor& e = model(GetParam().path, table, 2);
    const std::size_t vocab = e.describe().vocab_size;
    const std::size_t n = table->name == "scalar" ? 20 : tokens.size();
    const std::vector<TokenId> part(tokens.begin(), tokens.begin() + static_cast<long>(n));
    const auto mine = whole(e, part);
    EXPECT_TRUE(same(mine.data(), expected.data(), n * vocab)) << table->name;
    Memory memory(e, 4);
    const auto blocks = memory.take(n);
    forward(e, memory, {{std::span(part).first(n - 1), 0, blocks, 0}});
    const auto last =
        forward(e, memory, {{std::span(part).last(1), static_cast<std::uint32_t>(n - 1), blocks, 1}});
    EXPECT_TRUE(same(last.data(), mine.data() + (n - 1) * vocab, vocab)) << table->name;
  }
}

TEST_P(NativeExecutor, RefusesTokensAndTablesThatDoNotFit) {
  Executor& e = best();
  Memory memory(e, 4);
  const auto table = memory.take(64);
  std::vector<float> logits(e.describe().vocab_size);
  const std::vector<TokenId> bad{static_cast<TokenId>(e.describe().vocab_size)};
  const SequenceSpan outside{bad, 0, table, 1};
  EXPECT_FALSE(e.forward({&outside, 1}, memory.storage(), logits).ok());
  const std::vector<TokenId> many(65, 1);
  const SequenceSpan longer{many, 0, table, 1};
  EXPECT_FALSE(e.forward({&longer, 1}, memory.storage(), logits).ok());
}

}  // namespace
}  // namespace kvasir::executor
