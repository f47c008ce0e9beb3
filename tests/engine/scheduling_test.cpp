// Who runs when: queue, fairness, preemption, cancellation. Steps are counted, never time.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <random>
#include <utility>

#include "engine/engine_fixture.h"
#include "kv/prefix_tree.h"

namespace kvasir::engine {
namespace {

// Holds every step until it is opened.
class Gate {
 public:
  StepHook hook() {
    return [this](auto) -> Status {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return open_; });
      return {};
    };
  }
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false;
};

struct Span {
  std::uint32_t start;
  std::size_t tokens;
};

TEST(Scheduling, AFullQueueRefuses) {
  Gate gate;
  EngineOptions options = small_options();
  options.max_batch = 1;
  options.queue_limit = 2;
  auto engine = make_engine(options, gate.hook());
  Client running;
  Client waiting[3];
  submit(*engine, running, request_of(chat("hello")));
  running.wait_until([](const Outcome& o) { return o.is_started; });
  submit(*engine, waiting[0], request_of(chat("hello")));
  submit(*engine, waiting[1], request_of(chat("hello")));
  const auto refused = engine->submit(request_of(chat("hello")), [](Event) { FAIL(); });
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kResourceExhausted);
  EXPECT_EQ(engine->stats().waiting, 2U);

  // A cancelled waiting request makes room at once, although a step is on its way.
  engine->cancel(waiting[0].id());
  EXPECT_EQ(engine->stats().waiting, 1U);
  submit(*engine, waiting[2], request_of(chat("hello")));
  gate.open();
  EXPECT_TRUE(running.wait().finished);
  EXPECT_EQ(waiting[0].wait().error->code, ErrorCode::kCancelled);
  EXPECT_TRUE(waiting[1].wait().finished);
  EXPECT_TRUE(waiting[2].wait().finished);
  EXPECT_EQ(engine->stats().largest_batch, 1U);
}

TEST(Scheduling, ALongPromptDoesNotStallAnAnswer) {
  Engine* engine = nullptr;
  Client talker;
  Client reader;
  std::vector<std::vector<Span>> steps;
  bool sent = false;
  auto owner = make_engine(small_options(), [&](std::span<const executor::SequenceSpan> batch) -> Status {
    steps.emplace_back();
    for (const auto& span : batch) steps.back().push_back({span.start, span.tokens.size()});
    if (steps.size() == 5) submit(*engine, reader, request_of(chat_of(6000)));
    sent = steps.size() >= 5;
    return {};
  });
  engine = owner.get();
  submit(*engine, talker, request_of(chat("long")));
  EXPECT_TRUE(talker.wait().finished);
  EXPECT_TRUE(reader.wait().finished);
  owner.reset();  // ends the thread: `steps` is ours now
  const std::size_t answer = talker.wait().tokens.size();
  ASSERT_GT(answer, 150U);
  std::size_t shared_steps = 0;
  // The talker's steps: one to read its prompt, one for each token of its answer.
  for (std::size_t i = 1; i <= answer; ++i) {
    ASSERT_LE(steps[i].size(), 2U);
    EXPECT_EQ(steps[i][0].tokens, 1U) << "the talker speaks in step " << i;
    if (steps[i].size() < 2) continue;
    ++shared_steps;
    EXPECT_LE(steps[i][1].tokens, 64U);
  }
  EXPECT_GE(shared_steps, 90U);
}

TEST(Scheduling, AShortPromptTakesItsTurnBetweenALongOnesChunks) {
  Engine* engine = nullptr;
  Client whale;
  Client minnow;
  const auto short_prompt = chat("hello");
  int step = 0;
  int read_in = 0;
  auto owner = make_engine(small_options(), [&](std::span<const executor::SequenceSpan> batch) -> Status {
    ++step;
    if (step == 3) submit(*engine, minnow, request_of(short_prompt));
    for (const auto& span : batch) {
      if (span.start + span.tokens.size() == short_prompt.size()) read_in = step;
    }
    return {};
  });
  engine = owner.get();
  submit(*engine, whale, request_of(chat_of(20'000)));
  EXPECT_TRUE(minnow.wait().finished);
  EXPECT_TRUE(whale.wait().finished);
  owner.reset();
  EXPECT_LE(read_in, 5) << "20000 tokens take 40 steps";
  EXPECT_GE(read_in, 4);
}

// What agents share ends anywhere in a block, and is read once to the token, whoever comes while it is read.
TEST(Scheduling, AgentsAtOnceReadWhatTheyShareOnce) {
  for (const std::size_t shared : {30U, 64U, 100U, 127U, 700U, 1300U}) {
    constexpr std::size_t kAgents = 6;
    Engine* engine = nullptr;
    std::array<Client, kAgents> agents;
    const auto prompt = [&](std::size_t agent) {
      const std::size_t frame = chat("").size();
      return chat(std::string(shared - frame / 2, 'x') +
                  std::string(20 + 30 * agent, static_cast<char>('a' + agent)));
    };
    bool sent = false;
    auto owner = make_engine(small_options(), [&](auto) -> Status {
      for (std::size_t i = 1; i < kAgents && !sent; ++i) submit(*engine, agents[i], request_of(prompt(i)));
      sent = true;
      return {};
    });
    engine = owner.get();
    submit(*engine, agents[0], request_of(prompt(0)));
    std::size_t needed = prompt(0).size();
    for (std::size_t i = 0; i < kAgents; ++i) {
      EXPECT_EQ(agents[i].wait().text, "the answer is on the line");
      if (i > 0) needed += prompt(i).size() - kv::common_prefix(prompt(0), prompt(i));
    }
    EXPECT_EQ(engine->stats().prefill_tokens, needed) << shared << " shared tokens";
  }
}

Request hot(std::vector<TokenId> prompt, std::uint64_t seed, std::uint32_t max_tokens) {
  Request request = request_of(std::move(prompt), max_tokens);
  request.sampling.temperature = 60.0F;
  request.sampling.seed = seed;
  request.ignore_eos = true;
  return request;
}

Request of_client(const std::string& client, Request request) {
  request.client = client;
  return request;
}

// Whatever of the prompt was in the cache.
bool reads_end_of(const executor::SequenceSpan& span, const std::vector<TokenId>& prompt) {
  return span.start + span.tokens.size() == prompt.size() &&
         std::ranges::equal(span.tokens, std::span(prompt).subspan(span.start));
}

// 50 long requests of one client have filled the batch; then a short one comes, of that client or another.
class Crowd {
 public:
  explicit Crowd(EngineOptions options)
      : engine_(make_engine(std::move(options), [this](auto batch) { return step(batch); })) {}
  void run(const std::string& busy, const std::string& quiet) {
    quiet_ = quiet;
    for (std::size_t i = 0; i < clients_.size(); ++i)
      submit(*engine_, clients_[i], of_client(busy, long_request(i)));
    gate_.open();
    EXPECT_TRUE(quick_client_.wait().finished);
    for (Client& client : clients_) finished_before_ += client.has_ended() ? 1 : 0;
    for (Client& client : clients_) EXPECT_TRUE(client.wait().finished);
    expect_conserved(*engine_);
    preemptions_ = engine_->stats().preemptions;
    engine_.reset();  // ends the thread: what the steps have noted is ours now
  }
  static Request long_request(std::size_t i) { return hot(chat_of(300, static_cast<char>('A' + i)), i, 100); }
  // Steps from the short request's coming to its having been read.
  std::size_t steps_to_read() const { return quick_read_in_ - kQuickComesIn; }
  std::size_t finished_before() const { return finished_before_; }
  std::uint64_t preemptions() const { return preemptions_; }
  const Outcome& outcome(std::size_t i) { return clients_[i].wait(); }

 private:
  static constexpr std::size_t kQuickComesIn = 12;

  Status step(std::span<const executor::SequenceSpan> batch) {
    KVASIR_RETURN_IF_ERROR(held_(batch));
    if (++steps_ == kQuickComesIn) submit(*engine_, quick_client_, of_client(quiet_, request_of(quick_)));
    for (const auto& span : batch) {
      if (reads_end_of(span, quick_)) quick_read_in_ = steps_;
    }
    return {};
  }

  Gate gate_;
  const StepHook held_ = gate_.hook();
  const std::vector<TokenId> quick_ = chat("hello");
  std::string quiet_;
  std::size_t steps_ = 0;
  std::size_t quick_read_in_ = 0;
  std::size_t finished_before_ = 0;
  std::uint64_t preemptions_ = 0;
  std::array<Client, 50> clients_;
  Client quick_client_;
  std::unique_ptr<Engine> engine_;
};

TEST(FairClients, OneClientsFiftyRequestsDoNotHoldUpAnothersOne) {
  for (const std::size_t blocks : {1000U, 60U}) {
    EngineOptions options = small_options(blocks);
    options.max_batch = 8;
    Crowd crowd(options);
    crowd.run("busy", "quiet");
    EXPECT_LE(crowd.steps_to_read(), 4U) << blocks << " blocks";
    EXPECT_LE(crowd.finished_before(), 8U);
    EXPECT_GT(crowd.preemptions(), 0U) << "somebody made way in a full batch";
    auto alone = make_engine();
    for (std::size_t i = 0; i < 50; i += 7) {
      const auto expected = run(*alone, Crowd::long_request(i));
      EXPECT_EQ(crowd.outcome(i).ids(), expected.ids()) << "whoever made way answers the same";
    }
  }
}

TEST(FairClients, RequestsOfOneClientAreServedAsTheyCome) {
  EngineOptions options = small_options();
  options.max_batch = 8;
  Crowd crowd(options);
  crowd.run("same", "same");
  EXPECT_GT(crowd.finished_before(), 30U);
  EXPECT_EQ(crowd.preemptions(), 0U);
}

TEST(FairClients, ManyAnswersOfOneDoNotStretchEveryStepOfAnother) {
  Engine* engine = nullptr;
  std::array<Client, 20> many;
  Client one;
  const auto prompt = chat("hello");
  int steps = 0;
  bool all_there = false;
  std::size_t largest_before = 0;
  std::size_t largest = 0;
  const auto of_many = [](std::size_t i) { return of_client("many", hot(chat_of(80 + i, 'm'), i, 150)); };
  auto owner = make_engine(small_options(), [&](std::span<const executor::SequenceSpan> batch) -> Status {
    // From the steps themselves, so that all are there when they should be, however slow this thread is.
    if (++steps == 1) {
      for (std::size_t i = 1; i < many.size(); ++i) submit(*engine, many[i], of_many(i));
    }
    if (steps == 60) submit(*engine, one, of_client("one", hot(prompt, 1, 800)));
    std::size_t& most = all_there ? largest : largest_before;
    most = std::max(most, batch.size());
    for (const auto& span : batch) {
      if (reads_end_of(span, prompt)) all_there = true;
    }
    return {};
  });
  engine = owner.get();
  submit(*engine, many[0], of_many(0));
  for (Client& client : many) EXPECT_TRUE(client.wait().finished);
  EXPECT_EQ(one.wait().tokens.size(), 800U);
  owner.reset();  // ends the thread: what the steps have noted is ours now
  EXPECT_GE(largest_before, 20U);
  EXPECT_EQ(largest, 5U) << "one and four of the others";
  auto alone = make_engine();
  EXPECT_EQ(many[7].wait().ids(), run(*alone, hot(chat_of(87, 'm'), 7, 150)).ids());
}

TEST(FairClients, AFullQueueStillTakesAnotherClientsRequest) {
  Gate gate;
  EngineOptions options = small_options();
  options.max_batch = 1;
  options.queue_limit = 4;
  auto engine = make_engine(options, gate.hook());
  std::array<Client, 8> clients;
  const auto ask = [&](std::size_t i, const char* name) {
    return engine->submit(of_client(name, request_of(chat("hello"))), clients[i].sink());
  };
  ASSERT_TRUE(ask(0, "busy").ok());
  clients[0].wait_until([](const Outcome& o) { return o.is_started; });
  for (std::size_t i = 1; i <= 4; ++i) ASSERT_TRUE(ask(i, "busy").ok());
  EXPECT_FALSE(ask(5, "busy").ok());
  EXPECT_TRUE(ask(5, "quiet").ok());
  EXPECT_TRUE(ask(6, "quiet").ok());
  const auto refused = ask(7, "quiet");
  ASSERT_FALSE(refused.ok()) << "half of the queue is its share";
  EXPECT_EQ(refused.error().code, ErrorCode::kResourceExhausted);
  gate.open();
  for (std::size_t i = 0; i < 7; ++i) EXPECT_TRUE(clients[i].wait().finished);
}

TEST(Scheduling, ProgressLeadsFromStartedToTheWholePrompt) {
  auto engine = make_engine();
  const Outcome outcome = run(*engine, request_of(chat_of(1300)));
  EXPECT_EQ(outcome.started.prompt_tokens, 1300U);
  ASSERT_EQ(outcome.progress.size(), 3U);
  EXPECT_EQ(outcome.progress[0].done, 512U);
  EXPECT_EQ(outcome.progress[2].done, 1300U);
  EXPECT_EQ(outcome.progress[2].total, 1300U);
}

TEST(Scheduling, PreemptedRequestsGoOnAndAnswerTheSame) {
  EngineOptions options = small_options(20);
  auto tight = make_engine(options);
  auto roomy = make_engine();
  Client clients[4];
  for (std::size_t i = 0; i < 4; ++i) {
    submit(*tight, clients[i], hot(chat_of(200, static_cast<char>('a' + i)), i, 700));
  }
  for (std::size_t i = 0; i < 4; ++i) {
    const Outcome expected = run(*roomy, hot(chat_of(200, static_cast<char>('a' + i)), i, 700));
    const Outcome& outcome = clients[i].wait();
    ASSERT_TRUE(outcome.finished) << outcome.error->message;
    EXPECT_EQ(outcome.ids(), expected.ids());
    EXPECT_EQ(outcome.finished->usage.prompt_tokens, 200U);
  }
  EXPECT_GT(tight->stats().preemptions, 0U);
  EXPECT_GT(tight->stats().largest_batch, 1U);
  expect_conserved(*tight);
}

TEST(Scheduling, AnOlderPromptTakesBlocksFromAYoungerAnswer) {
  // 20 blocks: the older prompt needs 15 in the end and is read two tokens a step, while the younger answer
  // grows into what is left. The preempted answer is part of the very step that is being planned.
  EngineOptions options = small_options(20);
  options.prefill_chunk_busy = 2;
  options.prefill_chunk = 64;
  const auto older = [] { return hot(chat_of(950, 'o'), 1, 5); };
  const auto younger = [] { return hot(chat_of(64, 'y'), 2, 600); };
  Engine* engine = nullptr;
  Client first;
  Client second;
  bool sent = false;
  auto owner = make_engine(options, [&](auto) -> Status {
    if (!std::exchange(sent, true)) submit(*engine, second, younger());
    return {};
  });
  engine = owner.get();
  submit(*engine, first, older());
  auto roomy = make_engine();
  EXPECT_EQ(first.wait().ids(), run(*roomy, older()).ids());
  EXPECT_EQ(second.wait().ids(), run(*roomy, younger()).ids());
  EXPECT_GT(engine->stats().preemptions, 0U);
  expect_conserved(*engine);
}

TEST(Scheduling, ARequestThatNeedsEveryBlockRuns) {
  auto engine = make_engine(small_options(8));
  for (int i = 0; i < 3; ++i) {
    const Outcome outcome = run(*engine, hot(chat_of(300, static_cast<char>('a' + i)), 1, 212));
    ASSERT_TRUE(outcome.finished);
    EXPECT_EQ(outcome.tokens.size(), 212U);
  }
  expect_conserved(*engine);
}

// 500 forked conversations with random options on a cache that is far too small, a fifth of them cancelled:
// every answer is the one that the request gets alone, and no block is lost.
TEST(Scheduling, StressKeepsAnswersAndBlocks) {
  std::mt19937_64 random(11);
  const auto pick = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  std::vector<std::vector<TokenId>> bases;
  for (char c = 'a'; c < 'f'; ++c) bases.push_back(chat_of(400, c));
  struct Plan {
    std::vector<TokenId> prompt;
    std::uint64_t seed;
    std::uint32_t max_tokens;
    bool use_cache;
    std::string name_space;
    std::string stop;
    Request request() const {
      Request r = hot(prompt, seed, max_tokens);
      r.use_cache = use_cache;
      r.cache_namespace = name_space;
      r.client = std::string(1, static_cast<char>('A' + seed % 3));
      r.ignore_eos = seed % 2 == 0;
      if (!stop.empty()) r.stop = {stop};
      return r;
    }
  };
  std::vector<Plan> plans;
  for (std::uint64_t i = 0; i < 500; ++i) {
    auto prompt = bases[pick(bases.size())];
    prompt.resize(1 + pick(prompt.size()));
    const auto more = tokens_of(std::string(pick(60), static_cast<char>('0' + pick(3))));
    prompt.insert(prompt.end(), more.begin(), more.end());
    plans.push_back({std::move(prompt), i, static_cast<std::uint32_t>(1 + pick(60)), pick(8) != 0,
                     std::string(1, pick(4) == 0 ? 'n' : 'm'), std::string(pick(3) == 0 ? 1 : 0, 'e')});
  }

  EngineOptions options = small_options(40);
  options.max_batch = 12;
  options.queue_limit = 1000;
  options.prefill_chunk = 100;
  options.prefill_chunk_busy = 30;
  auto engine = make_engine(options);
  auto alone = make_engine();
  std::vector<std::unique_ptr<Client>> clients;
  std::vector<bool> cancelled(plans.size(), false);
  for (std::size_t i = 0; i < plans.size(); ++i) {
    clients.push_back(std::make_unique<Client>());
    submit(*engine, *clients.back(), plans[i].request());
    if (i % 20 == 19) clients[i - pick(20)]->wait_until([](const Outcome& o) { return o.is_started; });
    if (pick(5) != 0) continue;
    const std::size_t victim = i - pick(std::min<std::size_t>(i + 1, 10));
    engine->cancel(clients[victim]->id());
    cancelled[victim] = true;
  }
  for (std::size_t i = 0; i < plans.size(); ++i) {
    const Outcome& outcome = clients[i]->wait();
    const Outcome expected = run(*alone, plans[i].request());
    ASSERT_TRUE(expected.finished);
    if (!outcome.finished) {
      ASSERT_TRUE(cancelled[i]) << outcome.error->message;
      ASSERT_EQ(outcome.error->code, ErrorCode::kCancelled) << outcome.error->message;
      EXPECT_TRUE(expected.text.starts_with(outcome.text));
      continue;
    }
    EXPECT_EQ(outcome.ids(), expected.ids()) << "request " << i;
    EXPECT_EQ(outcome.text, expected.text);
  }
  const EngineStats stats = engine->stats();
  EXPECT_EQ(stats.requests_finished + stats.requests_cancelled, plans.size());
  EXPECT_EQ(stats.requests_failed, 0U);
  EXPECT_GT(stats.requests_cancelled, 0U);
  EXPECT_GT(stats.evicted_blocks, 0U);
  EXPECT_GT(stats.cached_tokens, 0U);
  expect_conserved(*engine);
}

TEST(Background, ReadsAPromptForLaterAndIsNotCounted) {
  auto engine = make_engine();
  const auto prompt = chat_of(900);
  Request ahead = request_of(prompt, 1);
  ahead.background = true;
  const Outcome read = run(*engine, std::move(ahead));
  ASSERT_TRUE(read.finished);
  EXPECT_TRUE(read.tokens.empty());
  EngineStats stats = engine->stats();
  EXPECT_EQ(stats.idle_prefill_tokens, 900U);
  EXPECT_EQ(stats.prefill_tokens + stats.prompt_tokens + stats.requests_finished, 0U);
  EXPECT_EQ(run(*engine, request_of(prompt)).started.cached_tokens, 899U);
  stats = engine->stats();
  EXPECT_EQ(stats.prefill_tokens, 1U);
  EXPECT_EQ(stats.requests_finished, 1U);
  expect_conserved(*engine);
}

TEST(Background, GivesWayAtOnceToWorkForSomebodyAndKeepsWhatItHasRead) {
  Client ahead;
  Client real;
  Engine* engine = nullptr;
  int steps = 0;
  auto owner = make_engine(small_options(), [&](std::span<const executor::SequenceSpan>) -> Status {
    if (++steps == 3) submit(*engine, real, request_of(chat("hello")));
    return {};
  });
  engine = owner.get();
  const auto prompt = chat_of(5000);
  Request later = request_of(prompt, 1);
  later.background = true;
  submit(*engine, ahead, std::move(later));
  EXPECT_EQ(ahead.wait().error->code, ErrorCode::kCancelled);
  EXPECT_EQ(real.wait().text, "the answer is on the line");
  const EngineStats stats = engine->stats();
  EXPECT_EQ(stats.idle_prefill_tokens,
            2U * engine->options().prefill_chunk_busy);  // the third step was given up
  EXPECT_EQ(stats.requests_cancelled, 0U);
  EXPECT_EQ(run(*engine, request_of(prompt)).started.cached_tokens, stats.idle_prefill_tokens);
}

TEST(Background, DoesNotBeginWhileThereIsOtherWork) {
  Client ahead;
  Client real;
  Engine* engine = nullptr;
  int steps = 0;
  auto owner = make_engine(small_options(), [&](std::span<const executor::SequenceSpan>) -> Status {
    Request later = request_of(chat_of(500), 1);
    later.background = true;
    if (++steps == 1) submit(*engine, ahead, std::move(later));
    return {};
  });
  engine = owner.get();
  submit(*engine, real, request_of(chat("hello")));
  EXPECT_EQ(ahead.wait().error->code, ErrorCode::kCancelled);
  EXPECT_TRUE(real.wait().finished);
}

}  // namespace
}  // namespace kvasir::engine
