// The native executor on the two real models: its logits against an outside judge, and promise 1 on full
// logits.

#include "executor/native.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <map>
#include <random>
#include <string_view>
#include <thread>

#include "executor/native_fixture.h"

namespace kvasir::executor {
namespace {

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

class NativeExecutor : public testing::TestWithParam<Case> {
 protected:
  Executor& best(std::size_t threads = 2) {
    return model(GetParam(), kernels::available_kernels().back(), threads);
  }
  std::vector<TokenId> prompt(std::size_t n) { return golden_prompt(GetParam().name, n); }
};

INSTANTIATE_TEST_SUITE_P(Models, NativeExecutor, testing::ValuesIn(real_models()), case_name);

TEST_P(NativeExecutor, LogitsAreNoFurtherFromTheJudgeThanLlamaCpps) {
  if (GetParam().kv_type != kernels::KvType::kF16) GTEST_SKIP() << "kv_quality_test.cpp measures the others";
  const Golden g = read_golden(GetParam().name);
  const Fidelity f = compare(g, whole(best(), g.tokens), best().describe().vocab_size);
  std::printf("%s: KL %.6f (llama.cpp %.6f), top-1 %.4f (llama.cpp %.4f)\n", GetParam().name.c_str(), f.kl,
              g.llama_kl, f.top1, g.llama_top1);
  EXPECT_LE(f.kl, g.llama_kl);
  EXPECT_GE(f.top1, g.llama_top1 - 1e-6);  // the golden's figure is an f32
}

TEST_P(NativeExecutor, HighPrecisionGivesTheJudgesLogits) {
  if (GetParam().kv_type != kernels::KvType::kF16) GTEST_SKIP() << "kv_quality_test.cpp measures the others";
  const Golden g = read_golden(GetParam().name);
  Executor& high = model(GetParam().path, {{}, nullptr, models::Precision::kHigh, GetParam().kv_type, {}}, 2);
  const Fidelity f = compare(g, whole(high, g.tokens), high.describe().vocab_size);
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
  // Attention in bf16 rounds differently, in each of those that have it; those that do not agree.
  std::map<std::string_view, std::vector<float>> expected_of;
  const auto tables = kernels::available_kernels();
  // The scalar table, which comes first, is not asked for more than a few tokens.
  if (tables.size() > 1) expected_of[""] = whole(model(GetParam(), tables[1], 2), tokens);
  for (const kernels::KernelTable* table : tables) {
    if (table->name == "scalar" && GetParam().name != "smollm2") continue;  // minutes on the larger model
    Executor& e = model(GetParam(), table, 2);
    const std::size_t vocab = e.describe().vocab_size;
    const std::size_t n = table->name == "scalar" ? 20 : tokens.size();
    const std::vector<TokenId> part(tokens.begin(), tokens.begin() + static_cast<long>(n));
    const auto mine = whole(e, part);
    const bool bf16 = table->attention_segment_bf16 != nullptr && e.describe().precision == "standard";
    const std::vector<float>& expected = expected_of.try_emplace(bf16 ? table->name : "", mine).first->second;
    EXPECT_TRUE(same(mine.data(), expected.data(), n * vocab)) << table->name;
    Memory memory(e, 4);
    const auto blocks = memory.take(n);
    forward(e, memory, {{std::span(part).first(n - 1), 0, blocks, 0}});
    const auto last =
        forward(e, memory, {{std::span(part).last(1), static_cast<std::uint32_t>(n - 1), blocks, 1}});
    EXPECT_TRUE(same(last.data(), mine.data() + (n - 1) * vocab, vocab)) << table->name;
  }
}

TEST_P(NativeExecutor, AnInterruptedStepLeavesWhatWasReadBefore) {
  Executor& e = best();
  const std::size_t vocab = e.describe().vocab_size;
  const auto tokens = prompt(150);
  const auto expected = whole(e, tokens);
  Memory memory(e, 4);
  const auto table = memory.take(tokens.size());
  forward(e, memory, {{std::span(tokens).first(70), 0, table, 0}});
  for (const int milliseconds : {0, 10}) {  // before the first layer, and most likely between two
    std::atomic<bool> interrupt{false};
    std::thread other([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
      interrupt = true;
    });
    if (milliseconds == 0) other.join();
    const std::vector<TokenId> wrong(80, tokens.front());
    const SequenceSpan span{wrong, 70, table, 0};
    const Status status = e.forward({&span, 1}, memory.storage(), {}, &interrupt);
    if (milliseconds == 0) {
      ASSERT_FALSE(status.ok());
      EXPECT_EQ(status.error().code, ErrorCode::kCancelled);
    } else {
      other.join();
    }
  }
  const auto logits = forward(e, memory, {{std::span(tokens).subspan(70), 70, table, 80}});
  EXPECT_TRUE(same(logits.data(), expected.data() + 70 * vocab, 80 * vocab));
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
