#pragma once
// The engine: requests in, events out. It owns the executor, the block pool and the prefix tree, and runs one
// loop on one thread: admit, match the longest cached prefix, schedule (continuous batching, chunked
// prefill), forward, sample, emit. Everything else talks to it through this header.
//
// Threads: submit() and cancel() may be called from any thread. A request's sink is called on the engine's
// thread, in order, and must not block nor throw; its last call is a Finished or a Failed, after which it is
// destroyed. It may call submit() and cancel(), but must not destroy the engine.

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include "base/error.h"
#include "base/types.h"
#include "engine/constraint.h"
#include "engine/dry.h"
#include "kv/disk_store.h"
#include "kv/name_space_filter.h"

namespace kvasir::executor {
class Executor;
struct Description;
}  // namespace kvasir::executor
namespace kvasir::text {
class Tokenizer;
}
namespace kvasir::kv {
class DiskTier;
}

namespace kvasir::engine {

struct SamplingParams {
  float temperature = 1.0F;      // 0 = greedy
  float top_p = 1.0F;            // 1 = off
  std::int32_t top_k = 0;        // 0 = off
  float min_p = 0.0F;            // 0 = off
  float typical_p = 1.0F;        // 1 = off
  float xtc_probability = 0.0F;  // how often XTC acts; 0 = never
  float xtc_threshold = 0.1F;
  float repetition_penalty = 1.0F;
  float presence_penalty = 0.0F;
  float frequency_penalty = 0.0F;
  DryParams dry;
  std::uint64_t seed = 0;  // the random number at a position is a function of (seed, position)
  std::unordered_map<TokenId, float> logit_bias;
};

struct Request {
  std::vector<TokenId> prompt;  // not empty
  SamplingParams sampling;
  std::uint32_t max_tokens = 0;  // 0: the prompt is read, and nothing answered
  // Before that many tokens neither an end token nor a stop string ends the answer, unless a grammar admits
  // nothing but the end.
  std::uint32_t min_tokens = 0;
  std::vector<std::string> stop;          // stop strings: end the answer, are not part of it
  std::vector<TokenId> stop_tokens;       // likewise, beside the model's own end tokens
  std::optional<std::uint32_t> logprobs;  // top_logprobs per token; 0 = the sampled token's own only
  // The prompt's tokens are scored likewise (Scored events); it is computed whole then, whatever is cached.
  std::optional<std::uint32_t> prompt_logprobs;
  std::vector<TokenId> shown_tokens;  // control tokens whose text is part of the answer's, for its reader
  bool ignore_eos = false;  // the model's end tokens end nothing, unless a grammar admits nothing else
  bool use_cache = true;    // false: cached KV is not read (it is still written)
  // Reads the prompt for a later request and answers nothing: done only while nothing else is, given up
  // (kCancelled) as soon as anything else comes, and left out of every count but idle_prefill_tokens.
  bool background = false;
  // Whose request it is: clients share the engine evenly, however many requests each of them has
  // (scheduler.h).
  std::string client;
  std::string cache_namespace;  // requests of different namespaces never share KV
  // Requests of one family (an agent's session) keep each other's KV in memory; nothing else. May be empty.
  std::string cache_family;
  // Families that wait for this one (an agent's for its sub-agent's): kept in memory while it works.
  std::vector<std::string> cache_ancestors;
  std::unique_ptr<Constraint> constraint;  // may be null
};

struct TokenLogprob {
  TokenId token = kNoToken;
  float logprob = 0.0F;
};

// One sampled token, with its logprobs where asked.
struct SampledToken {
  TokenId token = kNoToken;
  float logprob = 0.0F;
  std::vector<TokenLogprob> top;  // by falling logprob
};

enum class FinishReason { kStop, kLength, kStopString };

struct Usage {
  std::uint32_t prompt_tokens = 0;
  // Prompt tokens whose KV was found, not computed. May exceed Started's count: what another request reads
  // of the same prompt meanwhile is taken over.
  std::uint32_t cached_tokens = 0;
  std::uint32_t completion_tokens = 0;
  std::uint32_t loaded_tokens = 0;  // of cached_tokens, those that came from disk
};

// The prompt has been looked up; prefill begins.
struct Started {
  std::uint32_t prompt_tokens = 0;
  std::uint32_t cached_tokens = 0;
  std::uint32_t loaded_tokens = 0;  // of cached_tokens, those that came from disk
};
// Prefill moved on: `done` of `total` prompt tokens are in the cache now.
struct Progress {
  std::uint32_t done = 0;
  std::uint32_t total = 0;
};
// The prompt's next tokens, with the log-probability that the model gave each of them behind those before it.
// The first token of all has none: NaN, and no others beside it.
struct Scored {
  std::vector<SampledToken> tokens;
};
// New visible text: whole UTF-8 characters, with stop strings (and what may still become one) held back.
// `tokens` are the tokens sampled since the last Text event; text may lag behind them.
struct Text {
  std::string text;
  std::vector<SampledToken> tokens;
};
struct Finished {
  FinishReason reason = FinishReason::kStop;
  std::string stop_string;  // which one, for kStopString
  Usage usage;
  double queue_seconds = 0;
  double prefill_seconds = 0;
  double decode_seconds = 0;
};
struct Failed {
  Error error;
};
using Event = std::variant<Started, Progress, Scored, Text, Finished, Failed>;
using EventSink = std::function<void(Event)>;

enum class RequestId : std::uint64_t {};

enum class DiskLoads {
  kMeasured,  // a load is taken when it beats computing, by what both have cost so far
  kAlways,    // whenever there is something to load
};

struct EngineOptions {
  std::size_t kv_bytes = 0;          // memory for KV blocks
  std::uint32_t context_length = 0;  // most tokens a sequence may hold (prompt + answer)
  std::uint32_t max_batch = 64;      // sequences running at once
  // Waiting requests; beyond it submit() returns kResourceExhausted. Of several clients each has its share of
  // it for itself.
  std::uint32_t queue_limit = 256;
  std::uint32_t prefill_chunk = 512;      // prompt tokens a step when nothing is decoding
  std::uint32_t prefill_chunk_busy = 64;  // at most, and when something is, so that its tokens keep coming
  // Answers that are being written take at most so many times as long while prompts are read (pace.h); 0: a
  // chunk is read in every step.
  double decode_slowdown = 1.8;
  // Most tokens of an answer that are guessed from what its sequence holds (prompt_lookup.h) and read in one
  // step; 0: none. Only few answers at once are guessed: a full batch has no idle arithmetic.
  std::uint32_t prompt_lookup = 0;
  DiskLoads disk_loads = DiskLoads::kMeasured;
  double assumed_prefill_rate = 0;                       // tokens a second, for tests: 0 measures it
  std::size_t disk_queue_bytes = std::size_t{64} << 20;  // KV that waits to be written to disk
  std::uint32_t disk_min_tokens = 0;                     // shorter conversations are not kept on disk
  std::function<void(const std::string&)> warn;  // what its user should know; called on threads of the engine
};

// The most rows of logits in a step.
std::uint32_t most_logits_rows(const EngineOptions& options);

// Counts since start; a consistent snapshot.
struct EngineStats {
  std::uint64_t requests_finished = 0;
  std::uint64_t requests_failed = 0;
  std::uint64_t requests_cancelled = 0;
  std::uint64_t prompt_tokens = 0;
  std::uint64_t cached_tokens = 0;
  std::uint64_t generated_tokens = 0;
  std::uint64_t steps = 0;
  std::uint64_t evicted_blocks = 0;
  std::uint64_t preemptions = 0;     // sequences set back to waiting for want of blocks; they go on later
  std::uint64_t prefill_tokens = 0;  // prompt tokens computed, repeats after a preemption included
  std::uint32_t running = 0;
  std::uint32_t waiting = 0;
  std::uint32_t blocks_total = 0;
  std::uint32_t blocks_free = 0;
  std::uint32_t blocks_cached = 0;        // held by the tree and by no running sequence
  std::uint64_t block_bytes = 0;          // of each
  std::uint32_t largest_batch = 0;        // most sequences ever in one step
  std::uint64_t idle_prefill_tokens = 0;  // computed for requests that have not come yet
  std::uint64_t loaded_tokens = 0;        // prompt tokens whose KV came from disk
  std::uint64_t guesses = 0;              // of what an answer goes on with
  std::uint64_t guessed_tokens = 0;
  std::uint64_t kept_guesses = 0;  // of guessed_tokens, those that the model would have written
};

// A conversation whose KV is in memory.
struct CachedConversation {
  std::string name_space;
  std::uint32_t tokens = 0;
  bool in_use = false;  // a request reads it now
  std::string family;   // Request::cache_family, where it is known
};

// Names everything that KV depends on besides the tokens: weights, tokenizer, KV type, kernels, rounding. The
// root of the prefix tree and of the records on disk.
std::string cache_root(const executor::Description& model, const text::Tokenizer& tokenizer);

// Of a model that keeps a state: what the tree is told of it, and how many blocks one sequence may need for
// states, that which it reads and that which it writes.
kv::StateShape state_shape(const executor::Description& model);
std::uint32_t states_of_one(const executor::Description& model);

class Engine {
 public:
  // `disk` may be null; its root_name is cache_root() and its block_bytes the executor's.
  static Result<std::unique_ptr<Engine>> create(std::unique_ptr<executor::Executor> executor,
                                                std::shared_ptr<const text::Tokenizer> tokenizer,
                                                EngineOptions options,
                                                std::unique_ptr<kv::DiskStore> disk = nullptr);
  // Stops the loop; requests still running end with Failed{kUnavailable}.
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Queues a request. kResourceExhausted when the queue is full, kContextOverflow when prompt + max_tokens
  // can never fit, kInvalidArgument for an empty prompt or a token outside the vocabulary. On error the sink
  // is never called.
  Result<RequestId> submit(Request request, EventSink sink);
  // Ends a request within one step, keeping what it has read in the cache. Unknown or ended ids are ignored.
  void cancel(RequestId id);

  EngineStats stats() const;
  std::optional<kv::DiskStats> disk_stats() const;  // nullopt without a disk tier

  // ---- The cache, for people ----
  // These wait for the engine's thread, a step at most, and keep it for a moment at a time. Not for sinks.
  std::vector<CachedConversation> cached_conversations(const kv::NameSpaceFilter& whose);  // used last first
  // Lets go of what no running request uses, in memory and on its way to disk; returns the number of blocks.
  std::uint64_t forget(const kv::NameSpaceFilter& whose);
  // For kv/disk_admin.h; null without a disk tier.
  kv::DiskTier* disk();

  const EngineOptions& options() const;
  std::uint32_t context_length() const;

 private:
  class Loop;
  explicit Engine(std::unique_ptr<Loop> loop);
  std::unique_ptr<Loop> loop_;
};

}  // namespace kvasir::engine
