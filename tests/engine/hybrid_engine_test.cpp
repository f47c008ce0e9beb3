// Promise 1 for models with recurrent layers, through the whole engine: an answer is the same bits whatever
// of its prompt, and of the states behind it, came from where.

#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <random>

#include "engine/engine_fixture.h"
#include "executor/native.h"
#include "models/tiny_model.h"

namespace kvasir::engine {
namespace {

// Every bit of it: log-probabilities are functions of whole rows of logits.
std::string bits(const Outcome& outcome) {
  EXPECT_TRUE(outcome.finished) << (outcome.error ? outcome.error->message : "");
  std::string all;
  for (const SampledToken& t : outcome.tokens) {
    for (const TokenLogprob& top : t.top) {
      char raw[8];
      std::memcpy(raw, &top.token, 4);
      std::memcpy(raw + 4, &top.logprob, 4);
      all.append(raw, sizeof(raw));
    }
  }
  return all;
}

class HybridEngine : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    model_ = models::read_tiny_model(GetParam());
    std::mt19937 random(5);
    for (int i = 0; i < 700; ++i) prompt_.push_back(static_cast<TokenId>(random() % model_.vocab));
    folder_ = std::filesystem::temp_directory_path() /
              ("kvasir-hybrid-" + std::to_string(::getpid()) + "-" + GetParam());
    std::filesystem::remove_all(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::unique_ptr<executor::Executor> executor(std::size_t threads) const {
    executor::NativeOptions options;
    options.pool = std::make_shared<ThreadPool>(threads);
    options.precision = models::Precision::kStandard;
    auto loaded = executor::load_native(model_.quantised, std::move(options));
    EXPECT_TRUE(loaded.ok()) << loaded.error().message;
    EXPECT_GT((*loaded)->describe().state_blocks, 0U);
    return std::move(*loaded);
  }
  std::unique_ptr<Engine> engine(EngineOptions options = {}, std::size_t blocks = 300,
                                 std::size_t threads = 2, bool disk = false) const {
    auto native = executor(threads);
    options.kv_bytes = blocks * native->describe().kv_bytes_per_block;
    std::unique_ptr<kv::DiskStore> store;
    if (disk) {
      kv::DiskStoreOptions where;
      where.folder = folder_.string();
      where.root_name = cache_root(native->describe(), *tokenizer());
      where.block_bytes = native->describe().kv_bytes_per_block;
      where.capacity_bytes = std::uint64_t{1} << 30;
      store = *kv::DiskStore::open(system_files(), where);
      options.disk_loads = DiskLoads::kAlways;
      options.disk_min_tokens = 1;
    }
    return *Engine::create(std::move(native), tokenizer(), options, std::move(store));
  }
  std::vector<TokenId> first(std::size_t tokens) const {
    return {prompt_.begin(), prompt_.begin() + static_cast<std::ptrdiff_t>(tokens)};
  }
  // Sampled, so that every draw hangs on the bits of whole rows.
  static Request answer_to(std::vector<TokenId> prompt, std::uint32_t max_tokens = 12,
                           std::uint64_t seed = 9) {
    Request request = request_of(std::move(prompt), max_tokens);
    request.sampling.temperature = 0.8F;
    request.sampling.seed = seed;
    request.logprobs = 5;
    request.ignore_eos = true;
    return request;
  }
  std::string alone(std::vector<TokenId> prompt, std::uint32_t max_tokens = 12,
                    std::uint64_t seed = 9) const {
    return bits(run(*engine({}, 300, 1), answer_to(std::move(prompt), max_tokens, seed)));
  }

  models::TinyModel model_;
  std::vector<TokenId> prompt_;
  std::filesystem::path folder_;
};

INSTANTIATE_TEST_SUITE_P(TinyModels, HybridEngine, testing::Values("lfm2", "granitehybrid-moe", "qwen3next"),
                         [](const auto& name) {
                           std::string out = name.param;
                           std::ranges::replace(out, '-', '_');
                           return out;
                         });

TEST_P(HybridEngine, AnAnswerIsTheSameBitsInAnyChunksAndCompany) {
  const std::string expected = alone(prompt_);
  std::mt19937 random(3);
  for (int round = 0; round < 2; ++round) {
    EngineOptions options;
    options.prefill_chunk = 1 + random() % 200;
    options.prefill_chunk_busy = 1 + random() % 60;
    const auto busy = engine(options);
    Client company[3];
    Client client;
    for (std::uint32_t i = 0; i < 3; ++i) {
      if (i == 2) submit(*busy, client, answer_to(prompt_));
      auto other = first(100 + random() % 500);
      other.push_back(static_cast<TokenId>(i));
      submit(*busy, company[i], answer_to(std::move(other), 24, i));
    }
    EXPECT_EQ(bits(client.wait()), expected);
    for (Client& other : company) EXPECT_FALSE(other.wait().error);
    EXPECT_GT(busy->stats().largest_batch, 1U);
    const Outcome again = run(*busy, answer_to(prompt_));
    EXPECT_EQ(bits(again), expected);
    EXPECT_EQ(again.started.cached_tokens, 640U) << "from the prompt's last full block on";
    expect_conserved(*busy);
  }
}

TEST_P(HybridEngine, AReturnedAndAForkedConversationAreTheSameBits) {
  const auto e = engine();
  const Outcome turn = run(*e, answer_to(first(300), 30));
  auto next = first(300);
  const auto said = turn.ids();
  next.insert(next.end(), said.begin(), said.end());
  next.insert(next.end(), prompt_.begin() + 400, prompt_.begin() + 420);
  const Outcome returned = run(*e, answer_to(next));
  EXPECT_EQ(returned.started.cached_tokens, 329U) << "inside a block, where its answer ended";
  EXPECT_EQ(bits(returned), alone(next));

  // Twice to the same fork: the first time it is learnt.
  std::uint32_t cached = 0;
  for (TokenId own = 0; own < 3; ++own) {
    auto fork = first(210);
    fork.push_back(own);
    fork.insert(fork.end(), prompt_.begin() + 500, prompt_.begin() + 560);
    const Outcome forked = run(*e, answer_to(fork));
    cached = forked.started.cached_tokens;
    EXPECT_EQ(bits(forked), alone(fork)) << own;
  }
  EXPECT_EQ(cached, 192U);
  expect_conserved(*e);
}

TEST_P(HybridEngine, APreemptedAnswerIsTheSameBits) {
  const std::uint32_t state = executor(1)->describe().state_blocks;
  const auto tight = engine({}, 7 + 2 * state);  // two are admitted, and do not fit when they have grown
  const auto request = [&](std::uint32_t i) {
    return answer_to({prompt_.begin() + i, prompt_.begin() + i + 180}, 150, i);
  };
  Client clients[3];
  for (std::uint32_t i = 0; i < 3; ++i) submit(*tight, clients[i], request(i));
  for (std::uint32_t i = 0; i < 3; ++i) {
    Request expected = request(i);
    EXPECT_EQ(bits(clients[i].wait()), bits(run(*engine(), std::move(expected)))) << "answer " << i;
  }
  EXPECT_GT(tight->stats().preemptions, 0U);
  expect_conserved(*tight);
}

TEST_P(HybridEngine, ARestartGoesOnFromDiskWithTheSameBits) {
  std::vector<TokenId> next = first(500);
  {
    const auto said = run(*engine({}, 300, 2, true), answer_to(next, 30)).ids();
    next.insert(next.end(), said.begin(), said.end());
  }
  next.insert(next.end(), prompt_.begin() + 600, prompt_.begin() + 640);
  const auto e = engine({}, 300, 2, true);
  const Outcome outcome = run(*e, answer_to(next));
  EXPECT_EQ(outcome.finished->usage.loaded_tokens, 529U);
  EXPECT_EQ(bits(outcome), alone(next));
  // And from the end of the first prompt, as where an answer is rendered otherwise.
  const auto other = engine({}, 300, 2, true);
  auto changed = first(500);
  changed.insert(changed.end(), prompt_.begin(), prompt_.begin() + 50);
  const Outcome from_prompt = run(*other, answer_to(changed));
  EXPECT_EQ(from_prompt.finished->usage.loaded_tokens, 448U);
  EXPECT_EQ(bits(from_prompt), alone(changed));
}

}  // namespace
}  // namespace kvasir::engine
