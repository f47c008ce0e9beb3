// Answers that are guessed from the conversation (prompt_lookup.h) are the ones that they would be without.

#include "engine/engine_fixture.h"
#include "engine/fixed_constraint.h"

namespace kvasir::engine {
namespace {

// What the script answers to "long".
const std::string kLong =
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen "
    "eighteen nineteen twenty and then there is more and more and more of it all the time until it comes to "
    "an "
    "end at last";

EngineOptions guessing() {
  EngineOptions options = small_options();
  options.prompt_lookup = 16;
  return options;
}

// The answer is in the prompt already, as after a first turn.
Request repeated(std::uint32_t max_tokens = 300) {
  return request_of(chat(kLong + " long"), max_tokens);
}

void expect_same(const Outcome& guessed, const Outcome& plain) {
  EXPECT_EQ(guessed.text, plain.text);
  EXPECT_EQ(guessed.ids(), plain.ids());
  ASSERT_TRUE(guessed.finished && plain.finished);
  EXPECT_EQ(guessed.finished->reason, plain.finished->reason);
  EXPECT_EQ(guessed.finished->stop_string, plain.finished->stop_string);
  EXPECT_EQ(guessed.finished->usage.completion_tokens, plain.finished->usage.completion_tokens);
}

TEST(Guessing, ARepeatedAnswerTakesFewerSteps) {
  auto plain = make_engine();
  auto engine = make_engine(guessing());
  expect_same(run(*engine, repeated()), run(*plain, repeated()));
  EXPECT_LT(engine->stats().steps, plain->stats().steps / 4);
  EXPECT_GT(engine->stats().kept_guesses, 0U);
  EXPECT_LE(engine->stats().kept_guesses, engine->stats().guessed_tokens);
  expect_conserved(*engine);
}

TEST(Guessing, AnAnswerMayEndAnywhereInAGuess) {
  auto plain = make_engine();
  auto engine = make_engine(guessing());
  for (std::uint32_t most = 1; most < 60; ++most)
    expect_same(run(*engine, repeated(most)), run(*plain, repeated(most)));
  for (const char* stop : {"three", "teen six", "comes to", "last"}) {
    const auto stopped = [&](Engine& on) {
      Request request = repeated();
      request.stop = {stop};
      return run(on, std::move(request));
    };
    expect_same(stopped(*engine), stopped(*plain));
  }
  EXPECT_GT(engine->stats().kept_guesses, 0U);
  expect_conserved(*engine);
}

TEST(Guessing, WhatIsSampledIsWhatWouldHaveBeenSampled) {
  auto plain = make_engine();
  auto engine = make_engine(guessing());
  const auto sampled = [&](Engine& on, std::uint64_t seed) {
    Request request = repeated(60);
    request.sampling.temperature = 15.0F;  // the script often loses
    request.sampling.repetition_penalty = 1.2F;
    request.sampling.seed = seed;
    request.ignore_eos = true;
    return run(on, std::move(request));
  };
  for (std::uint64_t seed = 0; seed < 10; ++seed) expect_same(sampled(*engine, seed), sampled(*plain, seed));
  EXPECT_GT(engine->stats().guessed_tokens, engine->stats().kept_guesses) << "some guesses were wrong";
  expect_conserved(*engine);
}

TEST(Guessing, AGrammarIsAskedAtEveryToken) {
  const std::string said = "{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Paris\"}}";
  const auto ask = [&](Engine& on, std::size_t choice, std::size_t fail_at) {
    Request request = request_of(chat(said + " and again " + said));
    auto constraint = std::make_unique<FixedConstraint>(tokens_of(said), fail_at);
    constraint->choice_ = choice;
    request.constraint = std::move(constraint);
    return run(on, std::move(request));
  };
  for (const std::size_t choice : {0U, 2U, 7U}) {
    auto plain = make_engine();
    auto engine = make_engine(guessing());
    expect_same(ask(*engine, choice, 1000), ask(*plain, choice, 1000));
    EXPECT_LE(engine->stats().steps, plain->stats().steps);
    expect_conserved(*engine);
  }
  auto engine = make_engine(guessing());
  const Outcome failed = ask(*engine, 0, 9);
  ASSERT_TRUE(failed.error);
  EXPECT_EQ(failed.error->message, "the grammar broke");
  EXPECT_EQ(ask(*engine, 0, 1000).text, said);
  EXPECT_GT(engine->stats().kept_guesses, 0U);
  expect_conserved(*engine);
}

TEST(Guessing, WhatWasKeptIsCachedAndWhatWasNotIsNot) {
  auto engine = make_engine(guessing());
  const Outcome first = run(*engine, repeated());
  std::vector<TokenId> next = chat(kLong + " long");
  const auto answer = first.ids();
  next.insert(next.end(), answer.begin(), answer.end());
  const auto whole = static_cast<std::uint32_t>(next.size());
  next.push_back(tokens_of("x").front());
  EXPECT_EQ(run(*engine, request_of(next, 1)).started.cached_tokens, whole)
      << "the end was sampled behind all of it";
}

TEST(Guessing, LeavesALargeBatchAlone) {
  auto engine = make_engine(guessing());
  Client clients[6];
  for (Client& client : clients) submit(*engine, client, repeated(60));
  for (Client& client : clients) client.wait();
  EXPECT_LT(engine->stats().guesses, 60U);
  expect_conserved(*engine);
}

}  // namespace
}  // namespace kvasir::engine
