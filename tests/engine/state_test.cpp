// A model that keeps a state beside KV, under the engine. The scripted executor's state names the tokens that
// it is of, and every step checks it: a state that is not that of the tokens before fails the request.

#include <unistd.h>

#include <filesystem>
#include <random>
#include <thread>
#include <utility>

#include "engine/engine_fixture.h"

namespace kvasir::engine {
namespace {

constexpr std::uint32_t kState = 3;  // blocks

std::string stateful_script() {
  return R"({"state_blocks": 3, )" + std::string(kDefaultScript + 1);
}

std::unique_ptr<Engine> make(EngineOptions options = small_options(), StepHook hook = {}) {
  return make_engine(options, std::move(hook), stateful_script().c_str());
}

Outcome expect_answer(Engine& engine, Request request) {
  Outcome outcome = run(engine, std::move(request));
  EXPECT_TRUE(outcome.finished) << (outcome.error ? outcome.error->message : "");
  return outcome;
}

std::vector<TokenId> with_turn(std::vector<TokenId> tokens, const std::string& user) {
  const auto turn = chat(user);
  tokens.insert(tokens.end(), turn.begin(), turn.end());
  return tokens;
}

TEST(EngineState, AConversationGoesOnWhereItsAnswerEnded) {
  auto engine = make();
  auto tokens = chat_of(700, 'a');
  const Outcome first = expect_answer(*engine, request_of(tokens));
  const auto answer = first.ids();
  tokens.insert(tokens.end(), answer.begin(), answer.end());
  // All but the last sampled token, which was never read.
  EXPECT_EQ(expect_answer(*engine, request_of(with_turn(tokens, "next"))).started.cached_tokens,
            tokens.size() - (first.finished->reason == FinishReason::kLength ? 1 : 0));
  expect_conserved(*engine);
}

TEST(EngineState, AnAnswerThatIsRenderedOtherwiseIsReadAgainFromThePromptsLastBlock) {
  auto engine = make();
  const auto prompt = chat_of(700, 'a');
  expect_answer(*engine, request_of(prompt));
  EXPECT_EQ(expect_answer(*engine, request_of(with_turn(prompt, "other"))).started.cached_tokens,
            699U / kBlockTokens * kBlockTokens);
  EXPECT_EQ(expect_answer(*engine, request_of(prompt)).started.cached_tokens,
            699U / kBlockTokens * kBlockTokens)
      << "the same again";
}

TEST(EngineState, WhereConversationsPartIsLearntFromTheSecond) {
  auto engine = make();
  const std::string shared(300, 's');
  const auto parting = chat(shared).size() - chat("").size() + 8;
  std::vector<std::uint32_t> cached;
  for (const char* own : {"one", "two", "three", "four"}) {
    cached.push_back(expect_answer(*engine, request_of(chat(shared + own + std::string(150, own[1]))))
                         .started.cached_tokens);
  }
  EXPECT_EQ(cached[0], 0U);
  EXPECT_EQ(cached[1], 0U) << "no state is known there";
  EXPECT_EQ(cached[2], cached[3]);
  EXPECT_GE(cached[2] + kBlockTokens, parting - 2 * kBlockTokens);
  EXPECT_GT(cached[2], 3 * kBlockTokens);
}

TEST(EngineState, SequencesAtOnceReadWhatTheyShareOnce) {
  Engine* engine = nullptr;
  Client clients[4];
  const std::string shared(1000, 's');
  bool submitted = false;
  // From a step of another request, so that all four wait before any of them starts.
  auto owner = make(small_options(), [&](auto) -> Status {
    if (std::exchange(submitted, true)) return {};
    for (int i = 0; i < 4; ++i) {
      const auto own = std::string(100, static_cast<char>('a' + i));
      submit(*engine, clients[i], request_of(chat(shared + own)));
    }
    return {};
  });
  engine = owner.get();
  const auto first = chat("hello");
  expect_answer(*engine, request_of(first));
  for (Client& client : clients) EXPECT_TRUE(client.wait().finished);
  // Each its own end, from the last full block on that all share.
  EXPECT_LT(engine->stats().prefill_tokens, first.size() + 1000 + 4 * (150 + kBlockTokens));
  expect_conserved(*engine);
}

TEST(EngineState, LongPromptsLeaveStatesAlongTheWay) {
  auto engine = make();
  expect_answer(*engine, request_of(chat(std::string(5000, 'q'))));
  // A fork anywhere costs what lies behind the last of them, a few hundred tokens.
  for (const std::size_t at : {1000U, 2600U, 4700U}) {
    const auto fork = chat(std::string(at, 'q') + "elsewhere");
    const Outcome outcome = expect_answer(*engine, request_of(fork));
    EXPECT_GE(outcome.started.cached_tokens + 8 * kBlockTokens + 10, at);
  }
  expect_conserved(*engine);
}

TEST(EngineState, PreemptedAnswersGoOn) {
  // Two fit, three do not: the last gives up its blocks and its state, and comes back.
  auto engine = make(small_options(2 * 8 + 4 * kState));
  Client clients[3];
  for (int i = 0; i < 3; ++i)
    submit(*engine, clients[i], request_of(chat_of(200, static_cast<char>('a' + i), "long "), 200));
  for (Client& client : clients) {
    const Outcome& outcome = client.wait();
    EXPECT_TRUE(outcome.finished) << (outcome.error ? outcome.error->message : "");
  }
  EXPECT_EQ(engine->stats().requests_failed, 0U);
  expect_conserved(*engine);
}

TEST(EngineState, TheSmallestMemoryHoldsOneSequence) {
  auto engine = make(small_options(10 + 2 * kState));
  EXPECT_EQ(engine->context_length(), 10 * kBlockTokens);
  for (int i = 0; i < 3; ++i) {
    const auto prompt = chat_of(10 * kBlockTokens - 40, static_cast<char>('a' + i % 2));
    expect_answer(*engine, request_of(prompt, 40));
    expect_answer(*engine, request_of(with_turn(chat_of(200, 'z'), "q"), 40));
  }
  expect_conserved(*engine);
  const auto none = Engine::create(
      std::move(*executor::ScriptedExecutor::create(tokenizer(), *executor::parse_script(stateful_script()))),
      tokenizer(), small_options(2 * kState));
  ASSERT_FALSE(none.ok());
  EXPECT_NE(none.error().message.find("state"), std::string::npos);
}

TEST(EngineState, AFailedStepsStateIsNotKept) {
  int steps = 0;
  auto engine = make(small_options(), [&](std::span<const executor::SequenceSpan> batch) -> Status {
    ++steps;
    if (steps == 2 && batch.front().start > 0) return make_error(ErrorCode::kInternal, "it broke");
    return {};
  });
  const auto prompt = chat(std::string(900, 'f'));
  const Outcome failed = run(*engine, request_of(prompt));
  ASSERT_TRUE(failed.error);
  EXPECT_EQ(failed.error->message, "it broke");
  const Outcome again = expect_answer(*engine, request_of(prompt));
  EXPECT_EQ(again.started.cached_tokens, 512U) << "the state behind the first step was kept";
  expect_conserved(*engine);
}

TEST(EngineState, CancelledRequestsLeaveTheirState) {
  Client client;
  Engine* running = nullptr;
  int steps = 0;
  auto engine = make(small_options(), [&](std::span<const executor::SequenceSpan>) -> Status {
    if (++steps == 2) running->cancel(client.id());
    return {};
  });
  running = engine.get();
  const auto prompt = chat(std::string(2000, 'c'));
  submit(*engine, client, request_of(prompt));
  ASSERT_TRUE(client.wait().error);
  EXPECT_GE(expect_answer(*engine, request_of(prompt)).started.cached_tokens, 1000U);
}

class EngineStateDisk : public testing::Test {
 protected:
  void SetUp() override {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = std::filesystem::temp_directory_path() /
              ("kvasir-state-disk-" + std::to_string(::getpid()) + "-" + std::string(info->name()));
    std::filesystem::remove_all(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::unique_ptr<Engine> start(std::size_t blocks = 1000, std::uint64_t capacity = std::uint64_t{1} << 30) {
    auto scripted =
        executor::ScriptedExecutor::create(tokenizer(), *executor::parse_script(stateful_script()));
    kv::DiskStoreOptions options;
    options.folder = folder_.string();
    options.root_name = cache_root((*scripted)->describe(), *tokenizer());
    options.block_bytes = (*scripted)->describe().kv_bytes_per_block;
    options.capacity_bytes = capacity;
    auto store = kv::DiskStore::open(system_files(), options);
    EXPECT_TRUE(store.ok()) << store.error().message;
    EngineOptions engine_options = small_options(blocks);
    engine_options.disk_loads = DiskLoads::kAlways;
    auto engine = Engine::create(std::move(*scripted), tokenizer(), engine_options, std::move(*store));
    EXPECT_TRUE(engine.ok()) << engine.error().message;
    return std::move(*engine);
  }

  std::filesystem::path folder_;
};

TEST_F(EngineStateDisk, ARestartReadsNothingAgain) {
  auto tokens = chat_of(777, 'a');
  const Outcome first = expect_answer(*start(), request_of(tokens));
  const auto answer = first.ids();
  tokens.insert(tokens.end(), answer.begin(), answer.end());
  const auto known = static_cast<std::uint32_t>(tokens.size());
  {
    const auto engine = start();
    EXPECT_EQ(engine->disk_stats()->leaves, 1U) << "states along the way are no conversations";
    const Outcome second = expect_answer(*engine, request_of(with_turn(tokens, "go on")));
    EXPECT_GE(second.started.cached_tokens + 1, known);
    EXPECT_EQ(second.finished->usage.loaded_tokens, second.started.cached_tokens);
    expect_conserved(*engine);
  }
  const auto engine = start();
  const auto prompt = chat_of(777, 'a');
  EXPECT_EQ(expect_answer(*engine, request_of(with_turn(prompt, "other"))).started.loaded_tokens,
            776U / kBlockTokens * kBlockTokens)
      << "the end of the prompt";
}

TEST_F(EngineStateDisk, WhatMemoryLetGoComesBackFromDisk) {
  const auto engine = start(30);
  std::vector<std::string> first;
  for (char c = 'a'; c < 'h'; ++c) first.push_back(expect_answer(*engine, request_of(chat_of(600, c))).text);
  // What 30 blocks of memory cannot hold of seven times nine, and more.
  wait_for_records(*engine, 33);
  std::uint32_t loaded = 0;
  for (char c = 'a'; c < 'h'; ++c) {
    const Outcome again = expect_answer(*engine, request_of(chat_of(600, c)));
    EXPECT_EQ(again.text, first[static_cast<std::size_t>(c - 'a')]);
    loaded += again.finished->usage.loaded_tokens;
  }
  EXPECT_GT(loaded, 3 * 512U);
  expect_conserved(*engine);
}

TEST_F(EngineStateDisk, RandomRestartsNeverServeAWrongState) {
  std::mt19937_64 random(11);
  std::vector<std::vector<TokenId>> seen;
  std::uint64_t loaded = 0;
  for (int life = 0; life < 8; ++life) {
    const auto engine = start(30 + random() % 100, 40'000 + random() % 2'000'000);
    for (int round = 0; round < 5; ++round) {
      std::vector<Client> clients(1 + random() % 3);
      for (Client& client : clients) {
        std::vector<TokenId> tokens;
        if (!seen.empty() && random() % 4 != 0) {
          tokens = seen[random() % seen.size()];
          tokens.resize(random() % tokens.size());
        }
        const auto turn = chat(std::string(1 + random() % 500, static_cast<char>('a' + random() % 3)));
        tokens.insert(tokens.end(), turn.begin(), turn.end());
        tokens.resize(std::min<std::size_t>(tokens.size(), engine->context_length() - 60));
        seen.push_back(tokens);
        submit(*engine, client, request_of(tokens, 50));
      }
      for (Client& client : clients) {
        const Outcome& outcome = client.wait();
        ASSERT_TRUE(outcome.finished) << outcome.error->message;
        loaded += outcome.finished->usage.loaded_tokens;
      }
    }
    expect_conserved(*engine);
  }
  EXPECT_GT(loaded, 0U);
}

TEST(EngineState, NothingIsGuessed) {
  EngineOptions options = small_options();
  options.prompt_lookup = 16;
  auto engine = make(options);
  const std::string said = "one two three four five six seven eight nine ten eleven";
  expect_answer(*engine, request_of(chat(said + " long")));
  EXPECT_EQ(engine->stats().guesses, 0U);
}

// Many clients over little memory, at random: every step checks every state.
TEST(EngineState, RandomWorkNeverMeetsAWrongState) {
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    std::mt19937_64 random(seed);
    EngineOptions options = small_options(30 + random() % 60);
    options.prefill_chunk = 1 + static_cast<std::uint32_t>(random() % 300);
    options.prefill_chunk_busy = 1 + static_cast<std::uint32_t>(random() % 90);
    auto engine = make(options);
    std::vector<std::vector<TokenId>> seen;
    for (int round = 0; round < 12; ++round) {
      std::vector<Client> clients(1 + random() % 5);
      for (std::size_t i = 0; i < clients.size(); ++i) {
        std::vector<TokenId> tokens;
        if (!seen.empty() && random() % 4 != 0) {
          tokens = seen[random() % seen.size()];
          tokens.resize(random() % tokens.size());
        }
        const auto turn = chat(std::string(1 + random() % 400, static_cast<char>('a' + random() % 3)));
        tokens.insert(tokens.end(), turn.begin(), turn.end());
        if (tokens.size() + 80 > engine->context_length()) tokens.resize(engine->context_length() - 80);
        seen.push_back(tokens);
        Request request = request_of(tokens, 1 + static_cast<std::uint32_t>(random() % 80));
        request.use_cache = random() % 8 != 0;
        submit(*engine, clients[i], std::move(request));
        if (random() % 6 == 0) engine->cancel(clients[i].id());
      }
      for (Client& client : clients) {
        const Outcome& outcome = client.wait();
        if (outcome.error) {
          EXPECT_EQ(outcome.error->code, ErrorCode::kCancelled) << outcome.error->message;
        }
      }
    }
    expect_conserved(*engine);
  }
}

}  // namespace
}  // namespace kvasir::engine
