// What a profile of the forward pass counts.

#include "models/part_times.h"

#include <gtest/gtest.h>

#include <chrono>
#include <vector>

#include "models/model.h"
#include "models/tiny_model.h"

namespace kvasir::models {
namespace {

struct Profiled {
  ModelConfig config;
  double matrix_weights = 0;
  PartTimes times;
  double seconds = 0;  // around the pass
};

// One pass over `tokens` tokens behind as many.
Profiled profile(std::size_t tokens, bool quantised) {
  const TinyModel tiny = read_tiny_model("qwen2");
  Profiled p;
  ThreadPool pool(2);
  LoadOptions options;
  options.pool = &pool;
  options.precision = Precision::kHigh;
  options.times = &p.times;
  const auto model = load_model(quantised ? tiny.quantised : tiny.floats, options);
  EXPECT_TRUE(model.ok());
  p.config = (*model)->config();
  p.matrix_weights = (*model)->matrix_weights();
  std::vector<BlockId> blocks(2 * tokens / kBlockTokens + 1);
  for (std::uint32_t i = 0; i < blocks.size(); ++i) blocks[i] = BlockId{i};
  std::vector<std::byte> kv(blocks.size() * p.config.kv_block_bytes());
  std::vector<float> logits(p.config.vocab);
  const std::vector<TokenId> read(tokens, TokenId{1});
  const auto forward = [&](std::uint32_t start) {
    const Span span[] = {{read, start, blocks, 1}};
    EXPECT_TRUE((*model)->forward({span, kv.data(), logits, nullptr}));
  };
  forward(0);
  p.times = {};
  const auto start = std::chrono::steady_clock::now();
  forward(static_cast<std::uint32_t>(tokens));
  p.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return p;
}

TEST(PartTimes, CountEveryProductOnceAndTwiceForTwoPlanes) {
  for (const bool quantised : {true, false}) {
    const Profiled p = profile(40, quantised);
    const double weights = 40 * p.matrix_weights + static_cast<double>(p.config.vocab * p.config.width);
    EXPECT_EQ(p.times[Part::kProducts].operations, quantised ? 4 * weights : 0);
    EXPECT_EQ(p.times[Part::kFloatProducts].operations, quantised ? 0 : 2 * weights);
  }
}

TEST(PartTimes, CountWhatACausalMaskLeavesAndTheKvThatIsSeen) {
  const Profiled p = profile(40, true);
  const double seen = 40 * 40 + 40 * 41 / 2;  // 40 tokens before, and of the span each and those before it
  const ModelConfig& c = p.config;
  EXPECT_EQ(p.times[Part::kAttention].operations,
            static_cast<double>(c.layers * c.heads * (c.head_dim + c.value_dim)) * 2 * seen);
  constexpr std::size_t kBlocks = (80 + kBlockTokens - 1) / kBlockTokens;
  EXPECT_EQ(p.times[Part::kAttention].bytes, static_cast<double>(kBlocks * c.kv_block_bytes()));
}

TEST(PartTimes, AddUpToThePass) {
  const Profiled p = profile(40, true);
  double sum = 0;
  for (std::size_t i = 0; i < kParts; ++i) sum += p.times[static_cast<Part>(i)].seconds;
  EXPECT_GT(p.times[Part::kProducts].seconds, 0);
  EXPECT_GT(p.times[Part::kAttention].seconds, 0);
  EXPECT_GT(p.times[Part::kRows].seconds, 0);
  EXPECT_LE(sum, p.seconds);
}

}  // namespace
}  // namespace kvasir::models
