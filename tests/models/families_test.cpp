// Every family on a tiny model of its own: its logits against an outside judge's, and promise 1 on full
// logits.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <random>
#include <string_view>

#include "models/model.h"
#include "models/tiny_model.h"

namespace kvasir::models {
namespace {

// Longer than a segment of attention (512 tokens) and than every window.
constexpr std::size_t kTokens = 600;

// A loaded model, KV memory for its sequences, and what they share.
class Runner {
 public:
  Runner(std::shared_ptr<const weights::Checkpoint> file, std::size_t threads, LoadOptions options)
      : pool_(threads) {
    options.pool = &pool_;
    options.context = kTokens;
    auto model = load_model(std::move(file), options);
    EXPECT_TRUE(model.ok()) << model.error().message;
    model_ = std::move(model).value();
    kv_.resize(kBlocks * config().kv_block_bytes());
    for (std::uint32_t i = 0; i < kBlocks; ++i) free_.push_back(BlockId{i});
    std::shuffle(free_.begin(), free_.end(), std::mt19937(7));
  }

  const ModelConfig& config() const { return model_->config(); }
  // Blocks for so many tokens, and behind them those of the state, where the model has one.
  std::vector<BlockId> take(std::size_t tokens) {
    const std::size_t n = (tokens + kBlockTokens - 1) / kBlockTokens + config().state_blocks();
    std::vector<BlockId> table(free_.end() - static_cast<long>(n), free_.end());
    free_.resize(free_.size() - n);
    return table;
  }
  std::vector<float> forward(std::vector<Span> spans) {
    std::size_t rows = 0;
    for (Span& s : spans) {
      rows += s.logits_rows;
      s.state_in = s.state_out = s.blocks.last(config().state_blocks());
    }
    std::vector<float> logits(rows * config().vocab);
    EXPECT_TRUE(model_->forward({spans, kv_.data(), logits, nullptr}));
    return logits;
  }
  std::vector<float> whole(const std::vector<TokenId>& tokens) {
    const auto table = take(tokens.size());
    return forward({{tokens, 0, table, static_cast<std::uint32_t>(tokens.size())}});
  }

 private:
  static constexpr std::uint32_t kBlocks = 64;
  ThreadPool pool_;
  std::unique_ptr<Model> model_;
  std::vector<std::byte> kv_;
  std::vector<BlockId> free_;
};

// 8-bit activations and 16-bit KV, so that what must be exact is exact where it is hardest.
LoadOptions coarse(const kernels::KernelTable* table = nullptr) {
  LoadOptions options;
  options.kernels = table;
  options.precision = Precision::kStandard;
  return options;
}

bool same(const float* a, const float* b, std::size_t n) {
  return std::memcmp(a, b, n * sizeof(float)) == 0;
}

class Families : public testing::TestWithParam<std::string> {
 protected:
  const TinyModel& tiny() {
    static TinyModel kept;  // tests of a family follow each other
    if (kept.name != GetParam()) kept = read_tiny_model(GetParam());
    return kept;
  }
  std::vector<TokenId> tokens(std::size_t n) {
    std::vector<TokenId> out;
    std::mt19937 rng(3);
    while (out.size() < n) out.push_back(static_cast<TokenId>(rng() % tiny().vocab));
    return out;
  }
};

INSTANTIATE_TEST_SUITE_P(All, Families, testing::ValuesIn(tiny_model_names()), [](const auto& name) {
  std::string out = name.param;
  std::ranges::replace(out, '-', '_');
  return out;
});

// KL(judge || ours) over the whole vocabulary, and how often the likeliest token is the judge's.
std::pair<double, double> compare(const TinyModel& m, const std::vector<float>& logits) {
  double kl = 0;
  double top1 = 0;
  for (std::size_t i = 0; i < m.positions.size(); ++i) {
    const float* judged = m.judged.data() + i * m.vocab;
    const float* ours = logits.data() + m.positions[i] * m.vocab;
    const auto log_sum = [&](const float* x) {
      double sum = 0;
      for (std::size_t k = 0; k < m.vocab; ++k) sum += std::exp(static_cast<double>(x[k]));
      return std::log(sum);
    };
    const double p_sum = log_sum(judged);
    const double q_sum = log_sum(ours);
    for (std::size_t k = 0; k < m.vocab; ++k) {
      const double log_p = judged[k] - p_sum;
      kl += std::exp(log_p) * (log_p - (ours[k] - q_sum));
    }
    top1 +=
        std::max_element(judged, judged + m.vocab) - judged == std::max_element(ours, ours + m.vocab) - ours
            ? 1
            : 0;
  }
  const auto rows = static_cast<double>(m.positions.size());
  return {kl / rows, top1 / rows};
}

TEST_P(Families, LogitsAreTheJudges) {
  LoadOptions options;
  options.precision = Precision::kHigh;
  options.kv_type = kernels::KvType::kF32;
  Runner run(tiny().floats, 2, options);
  const auto [kl, top1] = compare(tiny(), run.whole(tiny().tokens));
  // Both compute in f32, in other orders; a wrong factor, window or rotation costs at least 1e-3.
  EXPECT_LT(kl, 1e-7);
  EXPECT_EQ(top1, 1);
}

TEST_P(Families, LogitsDoNotDependOnHowThePromptWasCut) {
  Runner run(tiny().quantised, 2, coarse());
  const auto prompt = tokens(kTokens);
  const auto expected = run.whole(prompt);
  const auto table = run.take(prompt.size());
  std::mt19937 rng(1);
  for (std::size_t at = 0; at < prompt.size();) {
    const std::size_t n = std::min<std::size_t>(prompt.size() - at, 1 + rng() % 70);
    const auto logits = run.forward({{std::span(prompt).subspan(at, n), static_cast<std::uint32_t>(at), table,
                                      static_cast<std::uint32_t>(n)}});
    ASSERT_TRUE(same(logits.data(), expected.data() + at * tiny().vocab, n * tiny().vocab))
        << "chunk at " << at << " of " << n;
    at += n;
  }
}

TEST_P(Families, LogitsDoNotDependOnBatchMates) {
  Runner run(tiny().quantised, 2, coarse());
  const std::size_t vocab = tiny().vocab;
  const auto a = tokens(kTokens);
  const std::vector<TokenId> b(a.rbegin(), a.rend());
  const auto expected_a = run.whole(a);
  const auto expected_b = run.whole(b);
  const auto table_a = run.take(200);
  const auto table_b = run.take(b.size());
  const auto table_c = run.take(40);
  // One step with a prefill of a, a decode of b and a short prompt: three mates of different kinds.
  run.forward({{std::span(b).first(kTokens - 1), 0, table_b, 0}});
  const auto logits = run.forward({{std::span(a).first(200), 0, table_a, 200},
                                   {std::span(b).last(1), kTokens - 1, table_b, 1},
                                   {std::span(a).first(40), 0, table_c, 1}});
  EXPECT_TRUE(same(logits.data(), expected_a.data(), 200 * vocab));
  EXPECT_TRUE(same(logits.data() + 200 * vocab, expected_b.data() + (kTokens - 1) * vocab, vocab));
  EXPECT_TRUE(same(logits.data() + 201 * vocab, expected_a.data() + 39 * vocab, vocab));
}

TEST_P(Families, LogitsDoNotDependOnTheThreadCount) {
  const auto prompt = tokens(kTokens);
  EXPECT_EQ(Runner(tiny().quantised, 1, coarse()).whole(prompt),
            Runner(tiny().quantised, 3, coarse()).whole(prompt));
}

TEST_P(Families, EveryKernelVariantAgrees) {
  const auto prompt = tokens(100);
  // Attention in bf16 rounds differently, in registers and in tiles; in f32, at high precision, all are
  // alike.
  std::map<std::string_view, std::vector<float>> expected_of;
  std::vector<float> precise;
  for (const kernels::KernelTable* table : kernels::available_kernels()) {
    const auto mine = Runner(tiny().quantised, 2, coarse(table)).whole(prompt);
    const std::string_view own = table->attention_segment_bf16 != nullptr ? table->name : "";
    EXPECT_EQ(mine, expected_of.try_emplace(own, mine).first->second) << table->name;
    LoadOptions high = coarse(table);
    high.precision = Precision::kHigh;
    const auto of_high = Runner(tiny().quantised, 2, high).whole(prompt);
    if (precise.empty()) precise = of_high;
    EXPECT_EQ(of_high, precise) << table->name << " at high precision";
  }
}

}  // namespace
}  // namespace kvasir::models
