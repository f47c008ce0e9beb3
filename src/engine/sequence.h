#pragma once
// A request on its way through the engine. Made by submit(), from then on touched by the engine's thread
// only.
//
//   tokens:    [ prompt ............................ | answer ....... ]   an answer's beginning that a
//   grammar forces
//                                                                        is there from the start, and read
//                                                                        with it
//   computed:  [ KV is in the table's blocks ... ) then what the next steps read
//
// Reading the prompt, going on after a preemption and decoding are the same thing: compute what is missing,
// sample when all of it is there.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <vector>

#include "engine/answer_text.h"
#include "engine/engine.h"
#include "engine/prompt_lookup.h"
#include "kv/block_table.h"
#include "kv/disk_tier.h"

namespace kvasir::engine {

using Clock = std::chrono::steady_clock;

// Most tokens that are written at once without asking the model, and the fewest within an answer.
inline constexpr std::uint32_t kForcedMost = 32;
inline constexpr std::uint32_t kForcedLeast = 4;
// Tokens of prompts that are scored in a step: each has a row of logits, half a megabyte where the vocabulary
// is large.
inline constexpr std::uint32_t kScoredAtOnce = 32;

struct Sequence {
  Sequence(RequestId request_id, Request what, EventSink where, kv::PrefixTree& tree,
           const text::Tokenizer& tokenizer)
      : id(request_id),
        request(std::move(what)),
        sink(std::move(where)),
        tokens(std::move(request.prompt)),
        prompt_tokens(static_cast<std::uint32_t>(tokens.size())),
        table(tree, request.cache_namespace, reads_cache()),
        answer(tokenizer, request.stop, request.shown_tokens, request.min_tokens) {}

  std::uint32_t length() const { return static_cast<std::uint32_t>(tokens.size()); }
  std::uint32_t generated() const { return length() - prompt_tokens; }
  std::uint32_t remaining() const { return length() - computed; }
  // Answering: the next step reads the last token, and what a grammar forced behind it.
  bool decoding() const { return sampled && remaining() <= 1 + kForcedMost; }
  // Tokens that can be computed now: up to what comes from disk, if anything does.
  std::uint32_t computable() const { return (from_disk() ? load_begin : length()) - computed; }
  // KV of [load_begin, load_end) is being loaded, or is there and waits for what is before it.
  bool from_disk() const { return load != nullptr || load_end > 0; }
  // Blocks it takes to hold every token so far and the next one.
  std::uint32_t blocks_wanted() const { return kv::blocks_for(std::uint64_t{length()} + 1); }

  // What is taken over was not computed, and has no logits.
  bool reads_cache() const { return request.use_cache && !request.prompt_logprobs; }
  // The prompt is to be scored, and what the next steps read of it has not been.
  bool scoring() const { return request.prompt_logprobs && scored < prompt_tokens; }

  // Tokens [before, computed) were found, not computed.
  std::uint32_t count_found(std::uint32_t before) {
    if (sampled) return 0;
    const std::uint32_t found = std::min(computed, prompt_tokens) - std::min(before, prompt_tokens);
    cached_tokens += found;
    return found;
  }

  void drop_load() {
    if (load) load->cancel();
    load = nullptr;
    load_begin = load_end = 0;
  }

  RequestId id;
  Request request;  // its prompt has moved to `tokens`
  EventSink sink;
  std::vector<TokenId> tokens;
  std::uint32_t prompt_tokens;
  std::uint32_t computed = 0;
  std::uint32_t cached_tokens = 0;
  std::uint32_t reported = 0;          // of the prompt, in Started or Progress
  std::uint32_t scored = 0;            // of the prompt, in Scored
  bool running = false;                // admitted and not preempted
  std::uint32_t tier = 0;              // while it runs: how many older ones of its client do
  std::uint64_t last_turn = 0;         // when the scheduler last gave it one; 0: never
  bool started = false;                // has been admitted once
  bool sampled = false;                // the model has been asked; before, an answer has only forced tokens
  bool announced = false;              // Started has been sent
  std::uint32_t loaded_tokens = 0;     // of cached_tokens, those that came from disk
  std::shared_ptr<kv::DiskLoad> load;  // on its way into the table
  std::uint32_t load_begin = 0;        // what is before it is computed meanwhile
  std::uint32_t load_end = 0;          // 0 until the load is done
  kv::BlockTable table;
  std::vector<kv::BlockKey> keys;  // of the full blocks of `tokens`, as they were at admission
  PromptLookup lookup;
  AnswerText answer;
  Clock::time_point submitted = Clock::now();
  Clock::time_point admitted{};
  Clock::time_point first_token{};
};

}  // namespace kvasir::engine
