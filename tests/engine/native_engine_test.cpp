// Promise 1 through the whole engine, on the two real models: text, tokens and log-probabilities of an answer
// are the same bits whatever else the engine does.

#include <cmath>
#include <cstring>
#include <random>

#include "engine/engine_fixture.h"
#include "executor/native.h"
#include "support/models.h"
#include "support/sanitizers.h"

namespace kvasir::engine {
namespace {

constexpr std::uint32_t kAnswerTokens = 16;

struct NativeModel {
  std::shared_ptr<const weights::Checkpoint> file;
  std::shared_ptr<const text::Tokenizer> tokenizer;
};

NativeModel open_model(const std::string& path) {
  NativeModel model;
  auto file = weights::open_checkpoint(path);
  EXPECT_TRUE(file.ok()) << file.error().message << " (make models)";
  model.file = *file;
  model.tokenizer = *text::Tokenizer::from_checkpoint(*model.file);
  return model;
}

// Loading takes a second: the engines of one thread count share an executor, one after the other.
class BorrowedExecutor final : public executor::Executor {
 public:
  explicit BorrowedExecutor(std::shared_ptr<executor::Executor> lender) : lender_(std::move(lender)) {}
  const executor::Description& describe() const override { return lender_->describe(); }
  Status forward(std::span<const executor::SequenceSpan> batch, executor::KvStorage kv,
                 std::span<float> logits, const std::atomic<bool>* interrupt) override {
    return lender_->forward(batch, kv, logits, interrupt);
  }

 private:
  std::shared_ptr<executor::Executor> lender_;
};

std::shared_ptr<executor::Executor> native_executor(const NativeModel& model, std::size_t threads) {
  executor::NativeOptions native;
  native.pool = std::make_shared<ThreadPool>(threads);
  auto loaded = executor::load_native(model.file, std::move(native));
  EXPECT_TRUE(loaded.ok()) << loaded.error().message;
  return std::move(*loaded);
}

std::unique_ptr<Engine> engine_on(const std::shared_ptr<executor::Executor>& executor,
                                  const NativeModel& model, EngineOptions options, std::size_t blocks = 80) {
  options.kv_bytes = blocks * executor->describe().kv_bytes_per_block;
  return *Engine::create(std::make_unique<BorrowedExecutor>(executor), model.tokenizer, options);
}

std::vector<TokenId> chat_turn(const NativeModel& model, const std::string& user) {
  return model.tokenizer->encode("<|im_start|>user\n" + user + "<|im_end|>\n<|im_start|>assistant\n",
                                 text::SpecialText::kParse);
}

// Sampled, so that every draw hangs on the bits of whole rows.
Request answer_to(std::vector<TokenId> prompt, std::uint64_t seed = 9,
                  std::uint32_t max_tokens = kAnswerTokens) {
  Request request = request_of(std::move(prompt), max_tokens);
  request.sampling.temperature = 0.8F;
  request.sampling.top_p = 0.95F;
  request.sampling.repetition_penalty = 1.1F;
  request.sampling.seed = seed;
  request.logprobs = 5;
  request.ignore_eos = true;
  return request;
}

// Every bit of it: log-probabilities are functions of whole rows of logits.
std::string bits(const Outcome& outcome) {
  std::string all = outcome.text;
  const auto append = [&all](TokenId token, float logprob) {
    char raw[8];
    std::memcpy(raw, &token, 4);
    std::memcpy(raw + 4, &logprob, 4);
    all.append(raw, sizeof(raw));
  };
  for (const SampledToken& t : outcome.tokens) {
    append(t.token, t.logprob);
    for (const TokenLogprob& top : t.top) append(top.token, top.logprob);
  }
  return all;
}

class NativeEngine : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (test::kUnderSanitizer) GTEST_SKIP() << "whole models run in the release build";
    model_ = open_model(test::model_path(GetParam()));
    std::string text = "Here is a file of notes.\n";
    for (int i = 0; i < 12; ++i) {
      text += "Line " + std::to_string(i * 37) +
              ": the cache keeps blocks of tokens, größer 🙂 and def f(x): return x\n";
    }
    prompt_ = chat_turn(model_, text + "What do these notes say about the cache?");
    ASSERT_GT(prompt_.size(), 4 * kBlockTokens);
  }

  NativeModel model_;
  std::vector<TokenId> prompt_;
};

TEST_P(NativeEngine, APromptsTokensScoreAsTheAnswersThatWouldBeGivenBeforeThem) {
  const auto engine = engine_on(native_executor(model_, 2), model_, {});
  run(*engine, answer_to(prompt_));  // cached KV must not be in the way
  Request scoring = request_of(prompt_, 1);
  scoring.max_tokens = 0;
  scoring.prompt_logprobs = 5;
  const Outcome outcome = run(*engine, std::move(scoring));
  ASSERT_EQ(outcome.scored.size(), prompt_.size());
  EXPECT_TRUE(std::isnan(outcome.scored[0].logprob));
  EXPECT_TRUE(outcome.tokens.empty());
  for (const std::size_t at : {std::size_t{1}, std::size_t{33}, std::size_t{100}, prompt_.size() - 1}) {
    const SampledToken& scored = outcome.scored[at];
    EXPECT_EQ(scored.token, prompt_[at]);
    const Outcome before = run(*engine, answer_to({prompt_.begin(), prompt_.begin() + long(at)}, 9, 1));
    const SampledToken& sampled = before.tokens.at(0);
    ASSERT_EQ(scored.top.size(), sampled.top.size());
    for (std::size_t i = 0; i < scored.top.size(); ++i) {
      EXPECT_EQ(scored.top[i].token, sampled.top[i].token) << "at " << at;
      EXPECT_EQ(scored.top[i].logprob, sampled.top[i].logprob) << "at " << at;
    }
  }
}

TEST_P(NativeEngine, AGuessedAnswerIsTheSameBits) {
  const auto executor = native_executor(model_, 2);
  std::vector<TokenId> repeating = prompt_;  // as an agent that quotes
  repeating.insert(repeating.end(), prompt_.begin(), prompt_.begin() + 60);
  EngineOptions guessing;
  guessing.prompt_lookup = 16;
  const auto plain = engine_on(executor, model_, {});
  const auto engine = engine_on(executor, model_, guessing);
  for (const float temperature : {0.0F, 0.3F, 0.8F}) {
    const auto request = [&] {
      Request r = answer_to(repeating, 3, 48);
      r.sampling.temperature = temperature;
      r.sampling.repetition_penalty = temperature == 0.0F ? 1.0F : 1.1F;
      return r;
    };
    EXPECT_EQ(bits(run(*engine, request())), bits(run(*plain, request()))) << temperature;
  }
  EXPECT_GT(engine->stats().kept_guesses, 0U);
}

TEST_P(NativeEngine, AnAnswerIsTheSameBitsAloneInCompanyChunkedCachedAndOnAnyThreads) {
  const Outcome alone = run(*engine_on(native_executor(model_, 1), model_, {}), answer_to(prompt_));
  ASSERT_EQ(alone.tokens.size(), kAnswerTokens);
  ASSERT_EQ(alone.started.cached_tokens, 0U);
  const std::string expected = bits(alone);

  const auto two_threads = native_executor(model_, 2);
  std::mt19937_64 random(5);
  EngineOptions options;
  options.prefill_chunk = 1 + static_cast<std::uint32_t>(random() % 200);
  options.prefill_chunk_busy = 1 + static_cast<std::uint32_t>(random() % 60);
  auto engine = engine_on(two_threads, model_, options);
  // In company: others of its own prefix, before and behind it in the queue, while it reads and answers.
  Client company[3];
  Client client;
  for (std::size_t i = 0; i < 3; ++i) {
    if (i == 2) submit(*engine, client, answer_to(prompt_));
    auto other = prompt_;
    other.resize(kBlockTokens + random() % 100);
    const auto question = chat_turn(model_, "And now something else: " + std::to_string(i));
    other.insert(other.end(), question.begin(), question.end());
    submit(*engine, company[i], answer_to(std::move(other), i, 2 * kAnswerTokens));
  }
  EXPECT_EQ(bits(client.wait()), expected) << "in company";
  for (Client& other : company) EXPECT_FALSE(other.wait().error);
  EXPECT_GT(engine->stats().largest_batch, 1U) << "it was a batch";

  const Outcome whole = run(*engine, answer_to(prompt_));
  EXPECT_EQ(whole.started.cached_tokens, prompt_.size() - 1);
  EXPECT_EQ(bits(whole), expected) << "after a whole hit";
  expect_conserved(*engine);

  auto fresh = engine_on(two_threads, model_, options);
  auto part = prompt_;
  part.resize(2 * kBlockTokens + 17);
  part.push_back(prompt_[0]);
  run(*fresh, answer_to(part, 1, 3));
  const Outcome partial = run(*fresh, answer_to(prompt_));
  EXPECT_EQ(partial.started.cached_tokens, 2 * kBlockTokens + 17);
  EXPECT_EQ(bits(partial), expected) << "after a partial hit";
}

// The first answer grows into the blocks of the second, which goes on behind it with the same bits.
TEST_P(NativeEngine, APreemptedAnswerIsTheSameBits) {
  constexpr std::uint32_t kLong = 80;
  constexpr std::uint32_t kShort = 24;
  const auto executor = native_executor(model_, 2);
  const auto request = [&](std::size_t i) {
    std::vector<TokenId> prompt(prompt_.begin() + static_cast<std::ptrdiff_t>(i), prompt_.end());
    prompt.resize(3 * kBlockTokens - 10);
    return answer_to(std::move(prompt), i, i == 0 ? kLong : kShort);
  };
  std::vector<std::string> expected;
  for (std::size_t i = 0; i < 3; ++i)
    expected.push_back(bits(run(*engine_on(executor, model_, {}), request(i))));
  auto tight = engine_on(executor, model_, {}, 7);
  Client clients[3];
  for (std::size_t i = 0; i < 3; ++i) submit(*tight, clients[i], request(i));
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(bits(clients[i].wait()), expected[i]) << "answer " << i;
  EXPECT_GT(tight->stats().preemptions, 0U);
  EXPECT_EQ(tight->stats().requests_failed, 0U);
  expect_conserved(*tight);
}

INSTANTIATE_TEST_SUITE_P(RealModels, NativeEngine,
                         testing::Values("smollm2-135m-instruct-q4_1.gguf",
                                         "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"),
                         [](const auto& model) {
                           return model.param.starts_with("smollm2") ? "SmolLM2" : "QwenCoder";
                         });

}  // namespace
}  // namespace kvasir::engine
