#include "engine/scheduler.h"

#include "engine/engine_fixture.h"

namespace kvasir::engine {
namespace {

// One answer is being written; a long prompt has come beside it.
class SchedulerPace : public testing::Test {
 protected:
  void SetUp() override {
    options_.max_batch = 8;
    Sequence* answer = admit(40);
    for (const Slice& slice : scheduler_.plan()) advance(slice);
    answer->sampled = true;
    answer->tokens.push_back(TokenId{1});
    prompt_ = admit(3000);
  }

  Sequence* admit(std::size_t tokens) {
    const RequestId id{++last_id_};
    scheduler_.enqueue(
        std::make_unique<Sequence>(id, request_of(chat_of(tokens, static_cast<char>('a' + last_id_))),
                                   EventSink{}, tree_, *tokenizer()));
    return scheduler_.admit().at(0);
  }
  static void advance(const Slice& slice) {
    Sequence& sequence = *slice.sequence;
    sequence.computed += slice.tokens;
    sequence.table.commit(sequence.tokens, sequence.computed);
  }
  // Tokens of the prompt that the next step reads; the answer is in every step.
  std::uint32_t read_in_next_step(double seconds) {
    const std::vector<Slice> plan = scheduler_.plan();
    EXPECT_EQ(plan.at(0).tokens, 1U);
    const std::uint32_t read = plan.size() > 1 ? plan[1].tokens : 0;
    if (read > 0) advance(plan[1]);
    scheduler_.took(1, read, seconds);
    return read;
  }

  EngineOptions options_;
  std::unique_ptr<kv::BlockPool> pool_ = kv::BlockPool::create(200, 16).value();
  kv::PrefixTree tree_{*pool_, "model"};
  Scheduler scheduler_{tree_, options_};
  std::uint64_t last_id_ = 0;
  Sequence* prompt_ = nullptr;
};

TEST_F(SchedulerPace, PromptsAreReadInStepsThatTheStepsBetweenHavePaidFor) {
  EXPECT_EQ(read_in_next_step(0.02), 0U);  // what a step without a prompt takes
  EXPECT_EQ(read_in_next_step(0.1), options_.prefill_chunk_busy);
  // 0.1 s are 0.064 s more than 1.8 steps, and a step saves 0.016 s for the next.
  for (int i = 0; i < 3; ++i) EXPECT_EQ(read_in_next_step(0.02), 0U) << i;
  EXPECT_GT(read_in_next_step(0.02), 0U);
}

TEST_F(SchedulerPace, APromptWithoutAnswersBesideItIsReadInEveryStep) {
  while (!scheduler_.running().empty() && scheduler_.running().front().get() != prompt_)
    scheduler_.remove(scheduler_.running().front()->id);
  for (int i = 0; i < 4; ++i) {
    const std::vector<Slice> plan = scheduler_.plan();
    ASSERT_EQ(plan.size(), 1U);
    EXPECT_EQ(plan[0].tokens, options_.prefill_chunk);
    advance(plan[0]);
    scheduler_.took(0, plan[0].tokens, 10);
  }
}

}  // namespace
}  // namespace kvasir::engine
