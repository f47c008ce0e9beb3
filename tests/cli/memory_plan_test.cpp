#include "cli/memory_plan.h"

#include <gtest/gtest.h>

namespace kvasir::cli {
namespace {

constexpr std::uint64_t kMegabyte = 1 << 20;

executor::Description small_model() {
  executor::Description d;
  d.vocab_size = 50'000;
  d.context_length = 8192;
  d.kv_bytes_per_block = 3 * kMegabyte / 2;
  d.activation_bytes_per_token = 50'000;
  return d;
}

TEST(MemoryPlan, GivesKvAllThatIsLeftOfTheBudget) {
  const executor::Description model = small_model();
  const Footprint footprint{150 * kMegabyte, 90 * kMegabyte};
  for (const std::uint64_t budget : {300 * kMegabyte, 400 * kMegabyte, 3000 * kMegabyte}) {
    engine::EngineOptions options;
    ASSERT_TRUE(plan_memory(model, footprint, {budget, 0}, options).ok());
    const std::uint64_t taken = footprint.resident + footprint.growth + options.kv_bytes;
    EXPECT_LE(taken, budget);
    EXPECT_GT(taken + 2 * model.kv_bytes_per_block, budget);
  }
}

TEST(MemoryPlan, AConversationIsNoLongerThanModelMemoryAndTheAskedLength) {
  const Footprint footprint{150 * kMegabyte, 90 * kMegabyte};
  const auto context = [&](std::uint64_t budget, std::uint32_t asked) {
    engine::EngineOptions options;
    EXPECT_TRUE(plan_memory(small_model(), footprint, {budget, asked}, options).ok());
    return options.context_length;
  };
  EXPECT_EQ(context(3000 * kMegabyte, 0), 8192);
  EXPECT_EQ(context(3000 * kMegabyte, 1000), 1000);
  EXPECT_EQ(context(3000 * kMegabyte, 100'000), 8192);
  EXPECT_EQ(context(300 * kMegabyte, 0), 38 * kBlockTokens);  // 39 blocks fit, one is to spare
}

TEST(MemoryPlan, TooLittleIsToldWithWhatIsNeeded) {
  engine::EngineOptions options;
  const Footprint footprint{150 * kMegabyte, 90 * kMegabyte};
  for (const MemoryLimits limits : {MemoryLimits{250 * kMegabyte, 0}, MemoryLimits{100 * kMegabyte, 0},
                                    MemoryLimits{300 * kMegabyte, 8192}}) {
    const Status status = plan_memory(small_model(), footprint, limits, options);
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().code, ErrorCode::kResourceExhausted);
    EXPECT_NE(status.error().message.find("150 MB"), std::string::npos) << status.error().message;
    EXPECT_EQ(status.error().message.find('\n'), std::string::npos);
  }
}

TEST(MemoryPlan, GrowthCountsStepsLogitsMappedPagesAndTheDisksQueue) {
  executor::Description model = small_model();
  engine::EngineOptions options;
  const std::uint64_t plain = growth_bytes(model, options, 400 * kMegabyte, false);
  EXPECT_GT(plain, options.prefill_chunk * model.activation_bytes_per_token +
                       options.max_batch * model.vocab_size * sizeof(float));
  EXPECT_EQ(growth_bytes(model, options, 400 * kMegabyte, true), plain + options.disk_queue_bytes);
  model.mapped_bytes = 100 * kMegabyte;
  EXPECT_EQ(growth_bytes(model, options, 400 * kMegabyte, false), plain + model.mapped_bytes);
}

}  // namespace
}  // namespace kvasir::cli
