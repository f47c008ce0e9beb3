#pragma once
// From a row of logits to a token: a pure function of the row, the parameters, the tokens before and the
// position, so that a request gets the same answer alone, in a batch, or after it was preempted.
//
// Order: repetition, presence and frequency penalties, DRY and logit bias; then banned tokens and the
// grammar's mask; then temperature, top_k, top_p, min_p, typical_p, XTC, each over what the one before has
// left; then the draw. Ties go to the lower id everywhere, except that XTC keeps all that are equally
// unlikely. The draw walks the tokens that are left in id order with a number made from (seed, position), and
// whether XTC acts at all with another. Temperature 0 takes the likeliest token of the adjusted row: nothing
// behind temperature acts. Logprobs are the log-softmax of the raw row, before any of this.

#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/types.h"
#include "engine/dry.h"
#include "engine/engine.h"

namespace kvasir::engine {

struct SampleInput {
  std::span<const float> logits;     // (vocabulary)
  std::span<const TokenId> history;  // prompt and answer so far; each inside the vocabulary
  std::size_t prompt_size = 0;       // presence and frequency count only what comes behind the prompt
  std::uint64_t position = 0;        // of the token to be sampled in its sequence
  std::optional<std::span<const std::uint32_t>> mask;  // bit t of word t / 32: token t may be sampled
  std::span<const TokenId> banned;                     // unless the mask admits nothing else
  std::span<const TokenId> never_excluded;    // by XTC: what ends an answer or a line must stay possible
  std::optional<std::uint32_t> top_logprobs;  // nullopt: no logprobs at all
};

// Uniform in [0, 1), from seed and position alone.
double uniform_at(std::uint64_t seed, std::uint64_t position);

// Holds nothing but scratch memory between calls; one for each thread that samples.
class Sampler {
 public:
  // `bytes` is asked by DRY alone.
  explicit Sampler(TokenBytes bytes = {}) : bytes_(std::move(bytes)) {}
  // The log-probability of `token` in a row of logits, and of the `top` likeliest.
  SampledToken score(std::span<const float> logits, TokenId token, std::uint32_t top);
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
  void ban(std::span<const TokenId> banned, bool masked);
  void apply_mask(std::span<const std::uint32_t> mask);
  void select_largest(std::span<const float> row, std::size_t count, std::vector<Candidate>& out) const;
  TokenId draw(const SamplingParams& params, const SampleInput& input, std::span<const float> row,
               float largest);
  TokenId draw_from_row(std::span<const float> row, double left) const;
  TokenId draw_from_candidates(double uniform) const;
  double mass_left() const;
  template <class Before>
  void keep_mass(double target, const Before& comes_before);
  void keep_typical(float typical_p, float largest, float scale);
  void exclude_top_choices(float threshold, std::span<const TokenId> never);

  TokenBytes bytes_;
  std::vector<float> row_;             // (vocabulary) adjusted logits
  std::vector<std::uint32_t> counts_;  // (vocabulary) all zero between calls
  std::vector<float> weights_;         // (vocabulary)
  std::vector<Candidate> candidates_;  // in id order
  std::vector<Candidate> scratch_;
};

}  // namespace kvasir::engine
