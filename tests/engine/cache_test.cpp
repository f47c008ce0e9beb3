// Promises 1 and 2: what was read is found again to the token, and finding it changes nothing.

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <map>
#include <random>
#include <thread>

#include "engine/engine_fixture.h"

namespace kvasir::engine {
namespace {

std::vector<TokenId> joined(std::vector<TokenId> a, const std::vector<TokenId>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// So hot that the script loses and every token of the answer depends on every token of the context.
Request hot_request(std::vector<TokenId> prompt, std::uint64_t seed, std::uint32_t max_tokens = 80) {
  Request request = request_of(std::move(prompt), max_tokens);
  request.sampling.temperature = 60.0F;
  request.sampling.seed = seed;
  return request;
}

TEST(EngineCache, ARepeatedPromptIsCachedButForItsLastToken) {
  auto engine = make_engine();
  const auto prompt = chat_of(1000);
  EXPECT_EQ(run(*engine, request_of(prompt)).finished->usage.cached_tokens, 0U);
  const Outcome again = run(*engine, request_of(prompt));
  EXPECT_EQ(again.started.cached_tokens, 999U);
  EXPECT_EQ(again.finished->usage.cached_tokens, 999U);
  EXPECT_EQ(again.text, "the answer is on the line");
}

TEST(EngineCache, TheNextTurnFindsPromptAndAnswer) {
  auto engine = make_engine();
  const auto prompt = chat_of(333);
  const Outcome first = run(*engine, request_of(prompt));
  const auto history = joined(prompt, first.ids());
  const auto next = joined(history, joined(tokens_of("<|im_end|>\n"), chat("umlaut")));
  const Outcome second = run(*engine, request_of(next));
  EXPECT_EQ(second.started.cached_tokens, history.size());
  EXPECT_EQ(second.text, "größer 🙂 ähnlich");
}

TEST(EngineCache, AForkIsCachedToTheTokenWhereItParts) {
  auto engine = make_engine();
  const auto parent = chat_of(500, 'x');
  run(*engine, request_of(parent));
  for (const std::size_t at : {1U, 63U, 64U, 65U, 200U, 447U, 448U}) {
    auto fork = std::vector(parent.begin(), parent.begin() + static_cast<std::ptrdiff_t>(at));
    fork = joined(std::move(fork), tokens_of("<|im_end|> " + std::to_string(at)));
    fork = joined(std::move(fork), chat("umlaut"));
    const Outcome outcome = run(*engine, request_of(fork));
    EXPECT_EQ(outcome.started.cached_tokens, at);
    EXPECT_EQ(outcome.text, "größer 🙂 ähnlich");
  }
  EXPECT_EQ(run(*engine, request_of(parent)).started.cached_tokens, parent.size() - 1);
}

TEST(EngineCache, NamespacesDoNotShare) {
  auto engine = make_engine();
  const auto ask = [&](const char* name_space) {
    Request request = request_of(chat_of(200));
    request.cache_namespace = name_space;
    return run(*engine, std::move(request)).started.cached_tokens;
  };
  EXPECT_EQ(ask("alice"), 0U);
  EXPECT_EQ(ask("bob"), 0U);
  EXPECT_EQ(ask("alice"), 199U);
}

TEST(EngineCache, WithoutCacheNothingIsReadButEverythingIsKept) {
  auto engine = make_engine();
  const auto prompt = chat_of(200);
  for (int i = 0; i < 2; ++i) {
    Request request = request_of(prompt);
    request.use_cache = false;
    EXPECT_EQ(run(*engine, std::move(request)).finished->usage.cached_tokens, 0U);
  }
  EXPECT_EQ(run(*engine, request_of(prompt)).started.cached_tokens, 199U);
}

TEST(EngineCache, ForgettingTakesItsNamespaceAndLeavesRunningRequestsAlone) {
  Client running;
  std::atomic<bool> slowly{false};
  const auto prompt = chat_of(1000);
  const auto of = [&](const char* name_space) {
    Request request = request_of(prompt);
    request.cache_namespace = name_space;
    return request;
  };
  const auto everything_of_mine = [](std::string_view name) { return name == "mine"; };
  EngineOptions options = small_options();
  options.prefill_chunk = 100;
  // Slow enough to be still running when it is forgotten.
  auto engine = make_engine(options, [&](auto) -> Status {
    if (slowly) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return {};
  });
  run(*engine, of("theirs"));
  Request other = request_of(chat_of(700, 'o'));
  other.cache_namespace = "mine";
  run(*engine, std::move(other));
  const auto listed = engine->cached_conversations(everything_of_mine);
  ASSERT_EQ(listed.size(), 1U);
  EXPECT_EQ(listed[0].name_space, "mine");
  EXPECT_EQ(engine->cached_conversations({}).size(), 2U);
  slowly = true;
  Request long_one = of("mine");
  long_one.max_tokens = 4000;
  long_one.ignore_eos = true;
  submit(*engine, running, std::move(long_one));
  running.wait_until([](const Outcome& o) { return !o.progress.empty(); });
  EXPECT_GT(engine->forget(everything_of_mine), 0U);
  slowly = false;
  EXPECT_EQ(running.wait().text.substr(0, 25), "the answer is on the line");
  EXPECT_EQ(run(*engine, of("mine")).started.cached_tokens, 999U) << "what was running is kept";
  Request again = request_of(chat_of(700, 'o'));
  again.cache_namespace = "mine";
  EXPECT_LT(run(*engine, std::move(again)).started.cached_tokens, 64U);
  EXPECT_GT(engine->forget(everything_of_mine), 0U);
  EXPECT_EQ(run(*engine, of("theirs")).started.cached_tokens, 999U);
  const std::uint64_t held = engine->stats().blocks_cached;
  EXPECT_EQ(engine->forget({}), held);
  EXPECT_EQ(engine->stats().blocks_free, engine->stats().blocks_total);
}

// A parent waits while its sub-agent works and others come and go.
std::uint32_t found_of_a_waiting_parent(const std::string& parent_key, const std::string& child_key,
                                        const std::string& child_namespace = {}, std::size_t tokens = 600) {
  auto engine = make_engine(small_options(40));
  const auto ask = [&](std::vector<TokenId> prompt, const std::string& key, const std::string& name_space) {
    Request request = request_of(std::move(prompt));
    request.cache_family = key;
    request.cache_namespace = name_space;
    return run(*engine, std::move(request)).started.cached_tokens;
  };
  ask(chat_of(tokens, 'p'), parent_key, {});
  for (char c = 'a'; c < 'n'; ++c) {
    ask(chat_of(400, c), {}, {});
    ask(chat_of(100, 's'), child_key, child_namespace);
  }
  const std::uint32_t found = ask(chat_of(tokens, 'p'), parent_key, {});
  expect_conserved(*engine);
  return found;
}

TEST(EngineCache, ASessionKeepsItsConversationsInMemory) {
  EXPECT_EQ(found_of_a_waiting_parent("session", "session"), 599U);
  EXPECT_LT(found_of_a_waiting_parent("", ""), 599U) << "or the test shows nothing";
  EXPECT_LT(found_of_a_waiting_parent("session", "another"), 599U);
  EXPECT_LT(found_of_a_waiting_parent("session", "session", "of another key"), 599U);
}

// What is found of an agent's parent and of an agent that has ended, after another agent's work.
std::pair<std::uint32_t, std::uint32_t> found_of_parent_and_ended(const std::string& agents_family) {
  auto engine = make_engine(small_options(40));
  const auto ask = [&](std::vector<TokenId> prompt, const std::string& family, bool waited_for) {
    Request request = request_of(std::move(prompt));
    request.cache_family = family;
    if (waited_for) request.cache_ancestors = {"session"};
    return run(*engine, std::move(request)).started.cached_tokens;
  };
  ask(chat_of(600, 'p'), "session", false);
  ask(chat_of(400, 'e'), agents_family + "/ended", true);
  for (char c = 'f'; c < 'p'; ++c) {
    ask(chat_of(400, static_cast<char>(std::toupper(c))), {}, false);
    ask(chat_of(100, 's'), agents_family + "/working", true);
  }
  const std::uint32_t parent = ask(chat_of(600, 'p'), "session", false);
  const std::uint32_t ended = ask(chat_of(400, 'e'), agents_family + "/ended", true);
  expect_conserved(*engine);
  return {parent, ended};
}

TEST(EngineCache, AnAgentKeepsItsParentAndNotItsSiblings) {
  const auto [parent, ended] = found_of_parent_and_ended("session");
  EXPECT_EQ(parent, 599U);
  EXPECT_LT(ended, 399U);
}

// A last block of few tokens is cheap, and is evicted before all else: the rest is kept.
TEST(EngineCache, ASessionKeepsAConversationThatHasLostItsLastBlock) {
  constexpr std::size_t kTokens = 9 * 64 + 2;
  EXPECT_GE(found_of_a_waiting_parent("session", "session", {}, kTokens), 9U * 64);
}

TEST(EngineCache, ASessionSharesNothingMore) {
  auto engine = make_engine();
  for (const char* name_space : {"alice", "bob"}) {
    Request request = request_of(chat_of(200));
    request.cache_namespace = name_space;
    request.cache_family = "session";
    EXPECT_EQ(run(*engine, std::move(request)).started.cached_tokens, 0U);
  }
  const auto listed = engine->cached_conversations([](std::string_view name) { return name == "bob"; });
  ASSERT_EQ(listed.size(), 1U);
  EXPECT_EQ(listed[0].family, "session");
}

TEST(EngineCache, ThePromptOfACancelledRequestStays) {
  Client client;
  Engine* engine = nullptr;
  int steps = 0;
  EngineOptions options = small_options();
  options.prefill_chunk = 500;
  auto owner = make_engine(options, [&](auto) -> Status {
    if (++steps == 3) engine->cancel(client.id());
    return {};
  });
  engine = owner.get();
  const auto prompt = chat_of(5000);
  submit(*engine, client, request_of(prompt));
  const Outcome& cancelled = client.wait();
  ASSERT_TRUE(cancelled.error);
  EXPECT_EQ(cancelled.error->code, ErrorCode::kCancelled);
  EXPECT_EQ(run(*engine, request_of(prompt)).started.cached_tokens, 3U * 500)
      << "ended within one step, and the partial block at the end stays too";
  EXPECT_EQ(engine->stats().requests_cancelled, 1U);
  expect_conserved(*engine);
}

TEST(EngineCache, TheSamePromptAtOnceIsReadOnce) {
  std::mutex mutex;
  std::size_t read = 0;
  Client clients[4];
  Engine* engine = nullptr;
  bool sent = false;
  const auto prompt = chat_of(3000);
  auto owner = make_engine(small_options(), [&](std::span<const executor::SequenceSpan> batch) -> Status {
    const std::lock_guard lock(mutex);
    for (const auto& span : batch) {
      if (span.start < prompt.size()) read += span.tokens.size();
    }
    // The others arrive while the first is being read.
    for (int i = 1; i < 4 && !sent; ++i) submit(*engine, clients[i], request_of(prompt));
    sent = true;
    return {};
  });
  engine = owner.get();
  submit(*engine, clients[0], request_of(prompt));
  for (Client& client : clients) EXPECT_EQ(client.wait().text, "the answer is on the line");
  const std::lock_guard lock(mutex);
  // The last token is read by each, for its logits.
  EXPECT_EQ(read, prompt.size() + 3);
  EXPECT_EQ(clients[3].wait().finished->usage.cached_tokens, 2999U);
}

TEST(EngineCache, AFollowerTakesOverFromACancelledLeader) {
  Client leader;
  Client follower;
  Engine* engine = nullptr;
  int steps = 0;
  const auto prompt = chat_of(3000);
  auto owner = make_engine(small_options(), [&](auto) -> Status {
    ++steps;
    if (steps == 1) submit(*engine, follower, request_of(prompt));
    if (steps == 3) engine->cancel(leader.id());
    return {};
  });
  engine = owner.get();
  submit(*engine, leader, request_of(prompt));
  EXPECT_TRUE(leader.wait().error);
  EXPECT_EQ(follower.wait().text, "the answer is on the line");
  EXPECT_EQ(engine->stats().prefill_tokens, 3000U);
}

TEST(EngineCache, AnswersDoNotDependOnCacheChunksOrCompany) {
  const auto prompt = chat_of(700, 'y');
  Request reference_request = hot_request(prompt, 9);
  reference_request.ignore_eos = true;
  const Outcome alone = run(*make_engine(), std::move(reference_request));
  ASSERT_EQ(alone.tokens.size(), 80U);

  std::mt19937_64 random(3);
  for (int round = 0; round < 12; ++round) {
    EngineOptions options = small_options(400);
    options.prefill_chunk = 1 + static_cast<std::uint32_t>(random() % 300);
    options.prefill_chunk_busy = 1 + static_cast<std::uint32_t>(random() % 100);
    auto engine = make_engine(options);
    if (round % 3 != 0) {  // after a partial or whole hit
      auto part = prompt;
      part.resize(round % 3 == 1 ? 1 + random() % prompt.size() : prompt.size());
      run(*engine, hot_request(part, 1, 5));
    }
    Client company[6];
    for (std::size_t i = 0; i < 6; ++i) {
      auto other = prompt;
      other.resize(1 + random() % prompt.size());
      submit(*engine, company[i], hot_request(joined(other, chat("umlaut")), random(), 60));
    }
    Request request = hot_request(prompt, 9);
    request.ignore_eos = true;
    const Outcome outcome = run(*engine, std::move(request));
    EXPECT_EQ(outcome.ids(), alone.ids()) << "round " << round;
    EXPECT_EQ(outcome.text, alone.text);
    for (Client& client : company) client.wait();
    expect_conserved(*engine);
  }
}

}  // namespace
}  // namespace kvasir::engine
