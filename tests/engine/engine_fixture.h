#pragma once
// An engine over the scripted executor, with a hook in front of every forward() and clients that wait.

#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "engine/engine.h"
#include "executor/scripted.h"
#include "executor/tiny_tokenizer.h"

namespace kvasir::engine {

// Runs on the engine's thread before each step; an error fails the step.
using StepHook = std::function<Status(std::span<const executor::SequenceSpan>)>;

class HookedExecutor final : public executor::Executor {
 public:
  HookedExecutor(std::unique_ptr<executor::Executor> inner, StepHook hook)
      : inner_(std::move(inner)), hook_(std::move(hook)) {}
  const executor::Description& describe() const override { return inner_->describe(); }
  Status forward(std::span<const executor::SequenceSpan> batch, executor::KvStorage kv,
                 std::span<float> logits, const std::atomic<bool>* interrupt) override {
    if (hook_) KVASIR_RETURN_IF_ERROR(hook_(batch));
    return inner_->forward(batch, kv, logits, interrupt);
  }

 private:
  std::unique_ptr<executor::Executor> inner_;
  StepHook hook_;
};

// Everything that a request got.
struct Outcome {
  Started started;
  std::vector<Progress> progress;
  std::vector<SampledToken> scored;
  std::string text;
  std::vector<std::string> pieces;
  std::vector<SampledToken> tokens;
  std::optional<Finished> finished;
  std::optional<Error> error;
  bool is_started = false;

  std::vector<TokenId> ids() const {
    std::vector<TokenId> result;
    for (const SampledToken& t : tokens) result.push_back(t.token);
    return result;
  }
};

class Client {
 public:
  EventSink sink() {
    return [this](Event event) {
      const std::lock_guard lock(mutex_);
      std::visit([this](auto& e) { take(e); }, event);
      changed_.notify_all();
    };
  }
  const Outcome& wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return ended(); });
    return outcome_;
  }
  // Until the condition holds or the request ends.
  void wait_until(const std::function<bool(const Outcome&)>& condition) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return ended() || condition(outcome_); });
  }
  bool has_ended() {
    const std::lock_guard lock(mutex_);
    return ended();
  }
  void set_id(RequestId id) {
    const std::lock_guard lock(mutex_);
    id_ = id;
    changed_.notify_all();
  }
  // Waits for submit() to return, which the engine's thread may overtake.
  RequestId id() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return id_ != RequestId{}; });
    return id_;
  }

 private:
  bool ended() const { return outcome_.finished || outcome_.error; }
  void take(Started& e) {
    outcome_.started = e;
    outcome_.is_started = true;
  }
  void take(Progress& e) { outcome_.progress.push_back(e); }
  void take(Scored& e) { outcome_.scored.insert(outcome_.scored.end(), e.tokens.begin(), e.tokens.end()); }
  void take(Text& e) {
    outcome_.text += e.text;
    outcome_.pieces.push_back(e.text);
    outcome_.tokens.insert(outcome_.tokens.end(), e.tokens.begin(), e.tokens.end());
  }
  void take(Finished& e) { outcome_.finished = e; }
  void take(Failed& e) { outcome_.error = e.error; }

  std::mutex mutex_;
  std::condition_variable changed_;
  Outcome outcome_;
  RequestId id_{};
};

inline std::shared_ptr<const text::Tokenizer> tokenizer() {
  static const auto shared = testing_support::tiny_tokenizer();
  return shared;
}

inline std::vector<TokenId> tokens_of(const std::string& text) {
  return tokenizer()->encode(text, text::SpecialText::kParse);
}
inline std::vector<TokenId> chat(const std::string& user) {
  return tokens_of("<|im_start|>user\n" + user + "<|im_end|>\n<|im_start|>assistant\n");
}
// A chat turn of exactly `count` tokens.
inline std::vector<TokenId> chat_of(std::size_t count, char fill = 'x', const std::string& start = {}) {
  const std::size_t frame = chat(start).size();
  return chat(start + std::string(count - frame, fill));
}

inline constexpr std::size_t kBlockBytes = 8 * kBlockTokens;

inline EngineOptions small_options(std::size_t blocks = 1000) {
  EngineOptions options;
  options.kv_bytes = blocks * kBlockBytes;
  options.decode_slowdown = 0;  // steps do not depend on how long others took
  return options;
}

inline constexpr const char* kDefaultScript = R"({"rules": [
  {"reply": "the answer is on the line"},
  {"when": "umlaut", "reply": "größer 🙂 ähnlich"},
  {"when": "tool", "reply": "<tool_call>{\"a\": 1}</tool_call>"},
  {"when": "long", "reply": "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty and then there is more and more and more of it all the time until it comes to an end at last"}]})";

inline std::unique_ptr<Engine> make_engine(EngineOptions options = small_options(), StepHook hook = {},
                                           const char* script = kDefaultScript) {
  auto scripted = executor::ScriptedExecutor::create(tokenizer(), executor::parse_script(script).value());
  auto engine = Engine::create(std::make_unique<HookedExecutor>(std::move(*scripted), std::move(hook)),
                               tokenizer(), options);
  EXPECT_TRUE(engine.ok()) << engine.error().message;
  return std::move(*engine);
}

inline Request request_of(std::vector<TokenId> prompt, std::uint32_t max_tokens = 300) {
  Request request;
  request.prompt = std::move(prompt);
  request.max_tokens = max_tokens;
  request.sampling.temperature = 0;
  return request;
}

inline void submit(Engine& engine, Client& client, Request request) {
  auto id = engine.submit(std::move(request), client.sink());
  ASSERT_TRUE(id.ok()) << id.error().message;
  client.set_id(*id);
}

inline Outcome run(Engine& engine, Request request) {
  Client client;
  submit(engine, client, std::move(request));
  return client.wait();
}

inline void expect_conserved(const Engine& engine) {
  const EngineStats stats = engine.stats();
  EXPECT_EQ(stats.blocks_free + stats.blocks_cached, stats.blocks_total);
  EXPECT_EQ(stats.running, 0U);
  EXPECT_EQ(stats.waiting, 0U);
}

// The disk is written behind the engine's back: until it has `records` of them.
inline void wait_for_records(const Engine& engine, std::uint64_t records) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (engine.disk_stats()->records < records && std::chrono::steady_clock::now() < end)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

}  // namespace kvasir::engine
