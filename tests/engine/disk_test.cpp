// The disk tier under the engine. The scripted executor's KV is the tokens themselves, checked on every step:
// KV that came back wrong fails the request.

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <thread>

#include "engine/disk_link.h"
#include "engine/engine_fixture.h"
#include "kv/disk_tier.h"

namespace kvasir::engine {
namespace {

namespace fs = std::filesystem;

class EngineDisk : public testing::Test {
 protected:
  void SetUp() override {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = fs::temp_directory_path() /
              ("kvasir-engine-disk-" + std::to_string(::getpid()) + "-" + std::string(info->name()));
    fs::remove_all(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  // An engine on the folder, as after a start of the program.
  std::unique_ptr<Engine> start(std::size_t blocks = 1000, std::uint64_t capacity = std::uint64_t{1} << 30,
                                double prefill_rate = 0, StepHook hook = {}) {
    auto scripted =
        executor::ScriptedExecutor::create(tokenizer(), executor::parse_script(kDefaultScript).value());
    EXPECT_TRUE(scripted.ok());
    kv::DiskStoreOptions options;
    options.folder = folder_.string();
    options.root_name = cache_root((*scripted)->describe(), *tokenizer());
    options.label = "scripted";
    options.block_bytes = (*scripted)->describe().kv_bytes_per_block;
    options.capacity_bytes = capacity;
    auto store = kv::DiskStore::open(system_files(), options);
    EXPECT_TRUE(store.ok()) << store.error().message;
    EngineOptions engine_options = small_options(blocks);
    // At a given speed of prefill, what to load is a matter of that; else all is loaded.
    engine_options.disk_loads = prefill_rate > 0 ? DiskLoads::kMeasured : DiskLoads::kAlways;
    engine_options.assumed_prefill_rate = prefill_rate;
    auto engine = Engine::create(std::make_unique<HookedExecutor>(std::move(*scripted), std::move(hook)),
                                 tokenizer(), engine_options, std::move(*store));
    EXPECT_TRUE(engine.ok()) << engine.error().message;
    return std::move(*engine);
  }

  fs::path folder_;
};

std::vector<TokenId> continued(std::vector<TokenId> prompt, const Outcome& answer, const std::string& next) {
  const auto ids = answer.ids();
  prompt.insert(prompt.end(), ids.begin(), ids.end());
  const auto turn = chat(next);
  prompt.insert(prompt.end(), turn.begin(), turn.end());
  return prompt;
}

TEST_F(EngineDisk, ARestartReadsNothingAgainNeitherPromptNorAnswer) {
  const auto prompt = chat_of(777, 'a');
  const Outcome first = run(*start(), request_of(prompt));
  ASSERT_TRUE(first.finished);
  const auto engine = start();
  const auto next = continued(prompt, first, "go on");
  const Outcome second = run(*engine, request_of(next));
  ASSERT_TRUE(second.finished) << second.error->message;
  // All that the first engine computed: the last sampled token was never read.
  const auto known = static_cast<std::uint32_t>(prompt.size() + first.tokens.size() - 1);
  EXPECT_GE(second.started.cached_tokens, known);
  EXPECT_EQ(second.finished->usage.loaded_tokens, second.started.cached_tokens);
  EXPECT_EQ(engine->stats().prefill_tokens, next.size() - second.started.cached_tokens);
  expect_conserved(*engine);
}

TEST_F(EngineDisk, WhatMemoryLetGoComesBackFromDisk) {
  const auto engine = start(20);
  std::vector<Outcome> first;
  for (char c = 'a'; c < 'h'; ++c) {
    first.push_back(run(*engine, request_of(chat_of(600, c))));
    wait_for_records(*engine,
                     first.size() * kv::blocks_for(600));  // the engine is idle now: tails are saved too
  }
  EXPECT_GT(engine->stats().evicted_blocks, 40U);
  for (char c = 'a'; c < 'h'; ++c) {
    const Outcome again = run(*engine, request_of(chat_of(600, c)));
    EXPECT_EQ(again.text, first[static_cast<std::size_t>(c - 'a')].text);
    EXPECT_EQ(again.started.cached_tokens, 599U) << c;
  }
  expect_conserved(*engine);
}

// Loading 6,400 tokens of the script's KV is taken to cost 2 ms, nearly all of it for beginning at all.
constexpr double kLoadSeconds = 0.002;
constexpr std::uint32_t kLong = 6400;

TEST_F(EngineDisk, TheFrontIsComputedWhileTheRestLoads) {
  const auto prompt = chat_of(kLong + 10, 'w');
  const Outcome first = run(*start(), request_of(prompt));
  // As fast as the disk: both do about half.
  const auto engine = start(1000, std::uint64_t{1} << 30, kLong / kLoadSeconds * 0.9);
  const Outcome again = run(*engine, request_of(prompt));
  ASSERT_TRUE(again.finished) << again.error->message;
  EXPECT_EQ(again.text, first.text);
  const std::uint32_t loaded = again.finished->usage.loaded_tokens;
  EXPECT_GT(loaded, kLong / 3);
  EXPECT_LT(loaded, kLong * 2 / 3);
  EXPECT_EQ(again.started.cached_tokens, loaded);
  EXPECT_EQ(engine->stats().prefill_tokens, prompt.size() - loaded);
  expect_conserved(*engine);
}

TEST_F(EngineDisk, ManySplitLoadsAtOnceAnswerAsBefore) {
  std::vector<std::vector<TokenId>> prompts;
  std::vector<Outcome> first;
  {
    const auto engine = start(4000);
    for (char c = 'a'; c < 'i'; ++c) {
      prompts.push_back(chat_of(2000, c, c < 'e' ? std::string(1500, 'p') : std::string()));
      first.push_back(run(*engine, request_of(prompts.back())));
    }
  }
  // Blocks for a few of them only: some are set back in the middle of a load.
  const auto engine = start(100, std::uint64_t{1} << 30, 2000 / kLoadSeconds / 2);
  std::vector<std::unique_ptr<Client>> clients;
  for (int round = 0; round < 3; ++round) {
    for (const auto& prompt : prompts) {
      clients.push_back(std::make_unique<Client>());
      submit(*engine, *clients.back(), request_of(prompt));
    }
  }
  for (std::size_t i = 0; i < clients.size(); ++i) {
    const Outcome& outcome = clients[i]->wait();
    ASSERT_TRUE(outcome.finished) << outcome.error->message;
    EXPECT_EQ(outcome.text, first[i % prompts.size()].text);
  }
  EXPECT_GT(engine->stats().loaded_tokens, 0U);
  expect_conserved(*engine);
}

TEST(ComputeWhileLoading, BothEndAtOnce) {
  EXPECT_EQ(compute_while_loading(9600, 0.1, 200), 0U);       // the disk is far ahead
  EXPECT_EQ(compute_while_loading(9600, 48.0, 200), 4800U);   // both as fast
  EXPECT_EQ(compute_while_loading(9600, 144.0, 200), 7168U);  // three quarters, in whole blocks
}

// A server that is never idle still keeps the ends of conversations that are over.
TEST_F(EngineDisk, TailsAreSavedUnderUnbrokenLoad) {
  const auto engine = start(1000, std::uint64_t{1} << 30, 0, [](auto) -> Status {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return {};
  });
  Client busy;
  Request endless = request_of(chat_of(100, 'b'), 30'000);
  endless.ignore_eos = true;
  submit(*engine, busy, std::move(endless));
  busy.wait_until([](const Outcome& o) { return !o.pieces.empty(); });
  run(*engine, request_of(chat_of(100, 't')));
  const auto is_saved = [&] {
    return std::ranges::any_of(engine->disk()->store().conversations({}),
                               [](const auto& c) { return c.tokens >= 100 && c.tokens < 128; });
  };
  EXPECT_FALSE(is_saved()) << "an agent may be back at once";
  const auto most = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!is_saved() && std::chrono::steady_clock::now() < most) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_TRUE(is_saved());
  EXPECT_EQ(engine->stats().running, 1U) << "or the engine was idle";
  engine->cancel(busy.id());
  busy.wait();
}

TEST_F(EngineDisk, ATailThatMemoryEvictsIsOnDiskBefore) {
  const auto engine = start(16, std::uint64_t{1} << 30, 0, [](auto) -> Status {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return {};
  });
  Client busy;
  Request endless = request_of(chat_of(100, 'b'), 900);
  endless.ignore_eos = true;
  submit(*engine, busy, std::move(endless));
  busy.wait_until([](const Outcome& o) { return !o.pieces.empty(); });
  const Outcome first = run(*engine, request_of(chat_of(100, 't')));
  for (const char c : {'x', 'y'}) run(*engine, request_of(chat_of(500, c)));
  EXPECT_GT(engine->stats().evicted_blocks, 1U);
  const Outcome again = run(*engine, request_of(chat_of(100, 't')));
  EXPECT_EQ(again.text, first.text);
  EXPECT_EQ(again.started.cached_tokens, 99U);
  EXPECT_GT(again.finished->usage.loaded_tokens, 0U);
  EXPECT_EQ(engine->stats().running, 1U) << "or the engine was idle";
  engine->cancel(busy.id());
  busy.wait();
}

TEST_F(EngineDisk, NamespacesStayApartOnDisk) {
  const auto prompt = chat_of(300, 'n');
  Request mine = request_of(prompt);
  mine.cache_namespace = "mine";
  run(*start(), std::move(mine));
  const auto engine = start();
  Request theirs = request_of(prompt);
  theirs.cache_namespace = "theirs";
  EXPECT_EQ(run(*engine, std::move(theirs)).started.cached_tokens, 0U);
  Request again = request_of(prompt);
  again.cache_namespace = "mine";
  EXPECT_EQ(run(*engine, std::move(again)).started.cached_tokens, 299U);
}

TEST_F(EngineDisk, TheSamePromptAtOnceIsLoadedOnce) {
  const auto prompt = chat_of(2000, 's');
  run(*start(), request_of(prompt));
  const auto engine = start();
  Client clients[8];
  for (Client& client : clients) submit(*engine, client, request_of(prompt));
  for (Client& client : clients) EXPECT_EQ(client.wait().finished->usage.cached_tokens, 1999U);
  // Several may have started their loads before the first one's blocks were in the tree, but none is read
  // twice for the same sequence, and nothing is computed twice.
  EXPECT_LE(engine->stats().prefill_tokens, 8U + 64U);
  expect_conserved(*engine);
}

TEST_F(EngineDisk, DamagedRecordsCostTimeNotAnswers) {
  const auto prompt = chat_of(1500, 'd');
  const Outcome first = run(*start(), request_of(prompt));
  std::mt19937_64 random(11);
  for (int round = 0; round < 10; ++round) {
    for (const auto& entry : fs::directory_iterator(folder_)) {
      if (entry.path().extension() != ".kvs") continue;
      std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
      const auto size = fs::file_size(entry.path());
      for (int flip = 0; flip < 3; ++flip) {
        const auto at = static_cast<std::streamoff>(random() % size);
        file.seekg(at);
        const char old = static_cast<char>(file.get());
        file.seekp(at);
        file.put(static_cast<char>(old ^ static_cast<char>(1 << random() % 8)));
      }
    }
    const auto engine = start();
    const Outcome again = run(*engine, request_of(prompt));
    ASSERT_TRUE(again.finished) << again.error->message;
    EXPECT_EQ(again.text, first.text);
    expect_conserved(*engine);
  }
}

TEST_F(EngineDisk, AFolderThatCannotBeUsedIsNoReasonToFail) {
  std::ofstream(folder_.string()) << "a file where the folder should be";
  const auto engine = start();
  EXPECT_EQ(run(*engine, request_of(chat_of(300))).text, "the answer is on the line");
}

// Requests of every kind on few blocks, some cancelled, over restarts: nothing wrong is ever read back.
TEST_F(EngineDisk, StressOverRestarts) {
  std::mt19937_64 random(17);
  std::vector<std::vector<TokenId>> prompts;
  for (int i = 0; i < 12; ++i) {
    auto prompt = i % 3 == 0 || prompts.empty() ? chat_of(200 + random() % 900, static_cast<char>('a' + i))
                                                : prompts[random() % prompts.size()];
    if (i % 3 != 0) {
      prompt.resize(1 + random() % prompt.size());
      const auto turn = chat(i % 2 == 0 ? "long" : "umlaut");
      prompt.insert(prompt.end(), turn.begin(), turn.end());
    }
    prompts.push_back(std::move(prompt));
  }
  std::vector<std::string> expected;
  for (const auto& prompt : prompts) expected.push_back(run(*make_engine(), request_of(prompt)).text);

  for (int round = 0; round < 6; ++round) {
    const auto engine = start(60, std::uint64_t{1} << (round % 2 == 0 ? 30 : 19));
    std::vector<std::unique_ptr<Client>> clients;
    std::vector<std::size_t> asked;
    for (int i = 0; i < 30; ++i) {
      asked.push_back(random() % prompts.size());
      clients.push_back(std::make_unique<Client>());
      submit(*engine, *clients.back(), request_of(prompts[asked.back()]));
      if (random() % 5 == 0) engine->cancel(clients.back()->id());
    }
    for (std::size_t i = 0; i < clients.size(); ++i) {
      const Outcome& outcome = clients[i]->wait();
      if (outcome.error) {
        EXPECT_EQ(outcome.error->code, ErrorCode::kCancelled) << outcome.error->message;
      } else {
        EXPECT_EQ(outcome.text, expected[asked[i]]);
      }
    }
  }
}

}  // namespace
}  // namespace kvasir::engine
