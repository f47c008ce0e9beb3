#pragma once
// From a row of logits to a token: a pure function of the row, the parameters, the tokens before and the
// position, so that a request gets the same answer alone, in a batch, or after it was preempted.
//
// Order: repetition, presence and frequency penalties and logit bias; then banned tokens and the grammar's
// mask; then temperature, top_k, top_p (over what top_k left), min_p; then the draw. Ties go to the lower id
// everywhere. The draw walks the tokens that are left in id order with a number made from (seed, position).
// Logprobs are the log-softmax of the raw row, before any of this.

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/error.h"
#include "base/types.h"
#include "engine/engine.h"

namespace kvasir::engine {

struct SampleInput {
  std::span<const float> logits;     // (vocabulary)
  std::span<const TokenId> history;  // prompt and answer so far; each inside the vocabulary
  std::size_t prompt_size = 0;       // presence and frequency count only what comes behind the prompt
  std::uint64_t position = 0;        // of the token to be sampled in its sequence
  std::optional<std::span<const std::uint32_t>> mask;  // bit t of word t / 32: token t may be sampled
  std::span<const TokenId> banned;
  std::optional<std::uint32_t> top_logprobs;  // nullopt: no logprobs at all
};

// Uniform in [0, 1), from seed and position alone.
double uniform_at(std::uint64_t seed, std::uint64_t position);

// Holds nothing but scratch memory between calls; one for each thread that samples.
class Sampler {
 public:
  // kInvalidArgument when nothing may be sampled (mask and bans leave no token, or no logit is a number).
  Result<SampledToken> sample(const SamplingParams& params, const SampleInput& input);

 private:
  struct Candidate {
    float logit;
    TokenId token;
    float weight;  // exp((logit - largest) / temperature), where it has been computed
  };
  // Higher logit first, lower id first among equals: a total order, so selections are deterministic.
  static bool before(const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
  }
  std::span<const float> adjust(const SamplingParams& params, const SampleInput& input);
  void apply_penalties(const SamplingParams& params, const SampleInput& input);
  void apply_mask(std::span<const std::uint32_t> mask);
  void select_largest(std::span<const float> row, std::size_t count, std::vector<Candidate>& out) const;
  TokenId draw(const SamplingParams& params, std::span<const float> row, float largest, double uniform);
  TokenId draw_from_row(std::span<const float> row, double left) const;
  void keep_top_p(double target);
  void add_logprobs(const SampleInput& input, SampledToken& sampled);

  std::vector<float> row_;             // (vocabulary) adjusted logits
  std::vector<std::uint32_t> counts_;  // (vocabulary) all zero between calls
  std::vector<float> weights_;         // (vocabulary)
  std::vector<Candidate> candidates_;  // in id order
  std::vector<Candidate> scratch_;
};

}  // namespace kvasir::engine
