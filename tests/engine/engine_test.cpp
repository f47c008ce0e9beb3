// What one request gets: text, stops, logprobs, grammar, refusals.

#include "engine/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/engine_fixture.h"
#include "engine/fixed_constraint.h"

namespace kvasir::engine {
namespace {

TEST(Engine, PlaysTheAnswerAndStops) {
  auto engine = make_engine();
  const Outcome outcome = run(*engine, request_of(chat("hello")));
  ASSERT_TRUE(outcome.finished) << outcome.error->message;
  EXPECT_EQ(outcome.text, "the answer is on the line");
  EXPECT_EQ(outcome.finished->reason, FinishReason::kStop);
  EXPECT_EQ(outcome.finished->usage.completion_tokens, tokens_of(outcome.text).size());
  EXPECT_EQ(outcome.ids(), tokens_of(outcome.text));
  expect_conserved(*engine);
}

TEST(Engine, CharactersComeWholeAndToolTokensAreText) {
  auto engine = make_engine();
  const Outcome outcome = run(*engine, request_of(chat("umlaut")));
  EXPECT_EQ(outcome.text, "größer 🙂 ähnlich");
  EXPECT_THAT(outcome.pieces, testing::Contains("🙂"));
  EXPECT_EQ(run(*engine, request_of(chat("tool"))).text, "<tool_call>{\"a\": 1}</tool_call>");
}

TEST(Engine, MaxTokensEndsTheAnswer) {
  auto engine = make_engine();
  const Outcome outcome = run(*engine, request_of(chat("hello"), 3));
  EXPECT_EQ(outcome.finished->reason, FinishReason::kLength);
  EXPECT_EQ(outcome.finished->usage.completion_tokens, 3U);
  EXPECT_EQ(outcome.tokens.size(), 3U);
}

TEST(Engine, AStopStringEndsTheAnswerAndIsNotPartOfIt) {
  auto engine = make_engine();
  Request request = request_of(chat("hello"));
  request.stop = {"never", "is on"};
  request.logprobs = 0;
  const Outcome outcome = run(*engine, std::move(request));
  EXPECT_EQ(outcome.text, "the answer ");
  EXPECT_EQ(outcome.finished->reason, FinishReason::kStopString);
  EXPECT_EQ(outcome.finished->stop_string, "is on");
  EXPECT_EQ(outcome.ids(), tokens_of("the answer ")) << "the stop string's own tokens are left out";
}

TEST(Engine, TextHeldBackForAStopStringComesAtTheEnd) {
  auto engine = make_engine();
  Request request = request_of(chat("hello"));
  request.stop = {"line!"};
  const Outcome outcome = run(*engine, std::move(request));
  EXPECT_EQ(outcome.text, "the answer is on the line");
  EXPECT_EQ(outcome.ids(), tokens_of(outcome.text));
  EXPECT_EQ(outcome.finished->reason, FinishReason::kStop);
}

TEST(Engine, IgnoringTheEndGoesOnToMaxTokens) {
  auto engine = make_engine();
  Request request = request_of(chat("hello"), 60);
  request.ignore_eos = true;
  const Outcome outcome = run(*engine, std::move(request));
  EXPECT_EQ(outcome.finished->reason, FinishReason::kLength);
  EXPECT_EQ(outcome.finished->usage.completion_tokens, 60U);
}

TEST(Engine, MinTokensPutTheEndOff) {
  auto engine = make_engine();
  const std::size_t plain = run(*engine, request_of(chat("hello"), 60)).tokens.size();
  for (const std::uint32_t least : {5U, static_cast<std::uint32_t>(plain) + 9}) {
    Request request = request_of(chat("hello"), 60);
    request.min_tokens = least;
    const Outcome outcome = run(*engine, std::move(request));
    EXPECT_EQ(outcome.finished->usage.completion_tokens, std::max<std::size_t>(plain, least));
    EXPECT_EQ(outcome.finished->reason, FinishReason::kStop);
  }
}

TEST(Engine, StopStringsMeanNothingInTheFirstMinTokens) {
  auto engine = make_engine();
  Request request = request_of(chat("long"));
  request.stop = {"o"};
  request.min_tokens = static_cast<std::uint32_t>(tokens_of("one two three").size());
  const Outcome outcome = run(*engine, std::move(request));
  EXPECT_EQ(outcome.text, "one two three f");
  EXPECT_EQ(outcome.finished->reason, FinishReason::kStopString);
}

TEST(Engine, AStopTokenEndsTheAnswerAndIsNoPartOfIt) {
  auto engine = make_engine();
  Request request = request_of(chat("hello"));
  request.stop_tokens = {tokens_of("w").front(), tokens_of("w").front(), tokens_of("s").front()};
  const Outcome outcome = run(*engine, std::move(request));
  EXPECT_EQ(outcome.text, "the an");
  EXPECT_EQ(outcome.finished->reason, FinishReason::kStop);
}

TEST(Engine, MoreMinThanMaxTokensAreRefused) {
  auto engine = make_engine();
  Request request = request_of(chat("hello"), 5);
  request.min_tokens = 6;
  const auto id = engine->submit(std::move(request), [](const Event&) {});
  ASSERT_FALSE(id.ok());
  EXPECT_EQ(id.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(id.error().subject, "min_tokens");
}

TEST(Engine, LogprobsComeWithTheirTokens) {
  auto engine = make_engine();
  Request request = request_of(chat("hello"));
  request.logprobs = 2;
  const Outcome outcome = run(*engine, std::move(request));
  ASSERT_EQ(outcome.tokens.size(), tokens_of(outcome.text).size());
  for (const SampledToken& token : outcome.tokens) {
    ASSERT_EQ(token.top.size(), 2U);
    EXPECT_EQ(token.top[0].token, token.token);
    EXPECT_NEAR(token.logprob, 0.0F, 1e-3F);
    EXPECT_LT(token.top[1].logprob, -40.0F);
  }
}

TEST(Engine, EveryTokenOfAPromptIsScoredOnceHoweverItIsCut) {
  EngineOptions options = small_options();
  options.prefill_chunk = 7;
  auto engine = make_engine(options);
  const std::vector<TokenId> prompt = chat(std::string(300, 'x'));
  Request request = request_of(prompt);
  request.prompt_logprobs = 1;
  const Outcome outcome = run(*engine, std::move(request));
  ASSERT_EQ(outcome.scored.size(), prompt.size());
  for (std::size_t i = 0; i < prompt.size(); ++i) {
    EXPECT_EQ(outcome.scored[i].token, prompt[i]);
    EXPECT_EQ(outcome.scored[i].top.size(), i == 0 ? 0U : 1U);
  }
  EXPECT_FALSE(outcome.text.empty());
}

TEST(Engine, WithoutATokenToAnswerAPromptIsRead) {
  auto engine = make_engine();
  Request request = request_of(chat("hello"));
  request.max_tokens = 0;
  const Outcome outcome = run(*engine, std::move(request));
  EXPECT_EQ(outcome.finished.value().reason, FinishReason::kLength);
  EXPECT_EQ(outcome.finished->usage.completion_tokens, 0U);
  EXPECT_EQ(run(*engine, request_of(chat("hello"))).started.cached_tokens, chat("hello").size() - 1);
}

TEST(Engine, SeededSamplingIsReproducible) {
  auto engine = make_engine();
  const auto sampled = [&](std::uint64_t seed) {
    Request request = request_of(chat("hello"), 40);
    request.sampling.temperature = 40.0F;  // hot enough that the script loses
    request.sampling.seed = seed;
    request.ignore_eos = true;
    return run(*engine, std::move(request)).ids();
  };
  EXPECT_EQ(sampled(1), sampled(1));
  EXPECT_NE(sampled(1), sampled(2));
}

TEST(Engine, AConstraintDecidesWhatMayCome) {
  auto engine = make_engine();
  Request request = request_of(chat("hello"));
  request.constraint = std::make_unique<FixedConstraint>(tokens_of("{\"x\": 2}"), 1000);
  request.ignore_eos = true;  // a finished grammar ends all the same
  const Outcome outcome = run(*engine, std::move(request));
  EXPECT_EQ(outcome.text, "{\"x\": 2}");
  EXPECT_EQ(outcome.finished->reason, FinishReason::kStop);
}

TEST(Engine, ForcedTokensAreWrittenWithoutAskingTheModel) {
  const auto said = tokens_of("{\"name\": \"get_weather\", \"arguments\": {}}");
  const auto ask = [&](Engine& engine, std::size_t choice, std::uint32_t most) {
    Request request = request_of(chat_of(200), most);
    auto constraint = std::make_unique<FixedConstraint>(said, 1000);
    constraint->choice_ = choice;
    request.constraint = std::move(constraint);
    return run(engine, std::move(request));
  };
  auto plain = make_engine();
  const Outcome one_by_one = ask(*plain, 0, 300);
  for (const std::size_t choice : {2U, 7U, 1000U}) {
    auto engine = make_engine();
    for (int round = 0; round < 2; ++round) {  // the second finds the prompt, and some of the answer
      const Outcome outcome = ask(*engine, choice, 300);
      EXPECT_EQ(outcome.text, one_by_one.text);
      EXPECT_EQ(outcome.ids(), one_by_one.ids());
      EXPECT_EQ(outcome.finished->reason, FinishReason::kStop);
      EXPECT_EQ(outcome.finished->usage.completion_tokens, said.size());
      EXPECT_EQ(outcome.finished->usage.prompt_tokens, 200U);
      EXPECT_LE(outcome.finished->usage.cached_tokens, 200U);
      EXPECT_GE(outcome.finished->usage.cached_tokens, round == 0 ? 0U : 199U);
    }
    EXPECT_EQ(engine->stats().generated_tokens, 2 * said.size());
    EXPECT_LE(engine->stats().prefill_tokens, 201U);
    // A run of one is the model's.
    EXPECT_LT(engine->stats().steps, choice == 2 ? 2 * plain->stats().steps : plain->stats().steps);
    expect_conserved(*engine);
  }
  // A length that ends in a forced run.
  for (const std::uint32_t most : {1U, 2U, 9U}) {
    auto engine = make_engine();
    const Outcome cut = ask(*engine, 1000, most);
    EXPECT_EQ(cut.ids(), std::vector<TokenId>(said.begin(), said.begin() + most));
    EXPECT_EQ(cut.finished->reason, FinishReason::kLength);
    expect_conserved(*engine);
  }
}

TEST(Engine, AConstraintsErrorFailsItsRequestOnly) {
  auto engine = make_engine();
  Client other;
  submit(*engine, other, request_of(chat("long")));
  Request request = request_of(chat("hello"));
  request.constraint = std::make_unique<FixedConstraint>(tokens_of("{\"x\": 2}"), 3);
  const Outcome outcome = run(*engine, std::move(request));
  ASSERT_TRUE(outcome.error);
  EXPECT_EQ(outcome.error->message, "the grammar broke");
  EXPECT_TRUE(other.wait().finished);
  expect_conserved(*engine);
}

TEST(Engine, AFailedStepFailsItsBatchAndLeavesNothingDoubtfulBehind) {
  int steps = 0;
  auto engine = make_engine(small_options(), [&](auto) -> Status {
    if (++steps == 3) return make_error(ErrorCode::kInternal, "the device is gone");
    return {};
  });
  const auto prompt = chat_of(1200);
  const Outcome failed = run(*engine, request_of(prompt));
  ASSERT_TRUE(failed.error);
  EXPECT_EQ(failed.error->message, "the device is gone");
  const Outcome again = run(*engine, request_of(prompt));
  EXPECT_EQ(again.text, "the answer is on the line");
  EXPECT_EQ(again.started.cached_tokens, 1024U) << "two chunks of 512 were read before the failure";
  expect_conserved(*engine);
}

TEST(Engine, RefusesWhatCanNeverRun) {
  auto engine = make_engine(small_options(4));
  EXPECT_EQ(engine->context_length(), 256U);
  const auto code = [&](Request request) {
    auto result = engine->submit(std::move(request), [](Event) { ADD_FAILURE() << "no event was due"; });
    return result.ok() ? std::string("accepted") : std::to_string(static_cast<int>(result.error().code));
  };
  const auto name = [](ErrorCode c) { return std::to_string(static_cast<int>(c)); };
  EXPECT_EQ(code(request_of({})), name(ErrorCode::kInvalidArgument));
  EXPECT_EQ(code(request_of({100000})), name(ErrorCode::kInvalidArgument));
  EXPECT_EQ(code(request_of({-1})), name(ErrorCode::kInvalidArgument));
  EXPECT_EQ(code(request_of({1}, 256)), name(ErrorCode::kContextOverflow));
  Request hot = request_of({1}, 10);
  hot.sampling.temperature = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(code(std::move(hot)), name(ErrorCode::kInvalidArgument));
  EXPECT_EQ(run(*engine, request_of(chat("hello"), 200)).text, "the answer is on the line");
}

TEST(Engine, ShuttingDownFailsWhatIsRunning) {
  Client running;
  {
    auto engine = make_engine();
    Request request = request_of(chat("long"), 20'000);
    request.ignore_eos = true;
    submit(*engine, running, std::move(request));
    running.wait_until([](const Outcome& o) { return !o.text.empty(); });
  }
  ASSERT_TRUE(running.wait().error);
  EXPECT_EQ(running.wait().error->code, ErrorCode::kUnavailable);
}

}  // namespace
}  // namespace kvasir::engine
