#include "engine/sampler.h"

#include <algorithm>
#include <cmath>

#include "engine/softmax.h"

namespace kvasir::engine {
namespace {

// Below this a temperature's inverse would overflow; the draw is as good as decided anyway.
constexpr float kGreedyBelow = 1e-5F;

// The finaliser of splitmix64 (Steele, Lea, Flood 2014).
std::uint64_t mix(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15ULL;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

bool has_penalties(const SamplingParams& p) {
  return p.repetition_penalty != 1.0F || p.presence_penalty != 0.0F || p.frequency_penalty != 0.0F;
}

}  // namespace

double uniform_at(std::uint64_t seed, std::uint64_t position) {
  const std::uint64_t bits = mix(mix(seed) ^ mix(position ^ 0x5851f42d4c957f2dULL));
  return static_cast<double>(bits >> 11) * 0x1.0p-53;
}

Result<SampledToken> Sampler::sample(const SamplingParams& params, const SampleInput& input) {
  const std::span<const float> row = adjust(params, input);
  const Largest largest = find_largest(row);
  if (largest.token == kNoToken) {
    return make_error(ErrorCode::kInvalidArgument, "no token can be sampled: every one is masked or banned");
  }
  SampledToken sampled;
  // An infinite logit has no softmax; it wins outright.
  const bool greedy = params.temperature < kGreedyBelow || params.top_k == 1 || std::isinf(largest.logit);
  sampled.token = greedy ? largest.token : draw(params, input, row, largest.logit);
  if (input.top_logprobs) return score(input.logits, sampled.token, *input.top_logprobs);
  return sampled;
}

std::span<const float> Sampler::adjust(const SamplingParams& params, const SampleInput& input) {
  const bool penalties = has_penalties(params);
  const bool dry = params.dry.multiplier > 0.0F;
  const bool plain = !penalties && !dry && params.logit_bias.empty();
  if (plain && !input.mask && input.banned.empty()) return input.logits;
  row_.assign(input.logits.begin(), input.logits.end());
  if (penalties || dry) counts_.resize(row_.size());
  if (penalties) apply_penalties(params, input);
  if (dry) apply_dry(params.dry, input.history, bytes_, row_, counts_);
  for (const auto& [token, bias] : params.logit_bias) row_[static_cast<std::size_t>(token)] += bias;
  if (input.mask) apply_mask(*input.mask);
  ban(input.banned, input.mask.has_value());
  return row_;
}

// Under a mask bans are wishes: a grammar that has come to its end must be allowed to end.
void Sampler::ban(std::span<const TokenId> banned, bool masked) {
  std::vector<float> before;
  for (const TokenId token : banned)
    before.push_back(std::exchange(row_[static_cast<std::size_t>(token)], kNever));
  if (!masked || banned.empty()) return;
  if (std::ranges::any_of(row_, [](float logit) { return logit > kNever; })) return;
  for (std::size_t i = 0; i < banned.size(); ++i) row_[static_cast<std::size_t>(banned[i])] = before[i];
}

void Sampler::apply_mask(std::span<const std::uint32_t> mask) {
  for (std::size_t begin = 0; begin < row_.size(); begin += 32) {
    const std::uint32_t bits = begin / 32 < mask.size() ? mask[begin / 32] : 0;
    const std::size_t count = std::min<std::size_t>(32, row_.size() - begin);
    float* const word = row_.data() + begin;
    if (bits == 0) {  // most words of a strict grammar
      std::fill_n(word, count, kNever);
      continue;
    }
    for (std::size_t i = 0; i < count; ++i) word[i] = (bits >> i & 1U) != 0 ? word[i] : kNever;
  }
}

void Sampler::apply_penalties(const SamplingParams& params, const SampleInput& input) {
  if (params.repetition_penalty != 1.0F) {
    for (const TokenId token : input.history) {
      std::uint32_t& seen = counts_[static_cast<std::size_t>(token)];
      if (seen++ > 0) continue;
      float& logit = row_[static_cast<std::size_t>(token)];
      logit = logit > 0.0F ? logit / params.repetition_penalty : logit * params.repetition_penalty;
    }
    for (const TokenId token : input.history) counts_[static_cast<std::size_t>(token)] = 0;
  }
  const auto answer = input.history.subspan(std::min(input.prompt_size, input.history.size()));
  for (const TokenId token : answer) ++counts_[static_cast<std::size_t>(token)];
  for (const TokenId token : answer) {
    std::uint32_t& count = counts_[static_cast<std::size_t>(token)];
    if (count == 0) continue;
    row_[static_cast<std::size_t>(token)] -=
        params.presence_penalty + params.frequency_penalty * static_cast<float>(count);
    count = 0;
  }
}

// The `count` first candidates of the row, in order.
void Sampler::select_largest(std::span<const float> row, std::size_t count,
                             std::vector<Candidate>& out) const {
  // Up to here a heap wins: in one pass nearly all logits lose against the worst that has been kept.
  constexpr std::size_t kHeapLargest = 512;
  out.clear();
  if (count == 0) return;
  if (count > kHeapLargest) {
    for (std::size_t id = 0; id < row.size(); ++id) {
      if (row[id] > kNever) out.push_back({row[id], static_cast<TokenId>(id), 0.0F});
    }
    if (count < out.size()) {
      std::ranges::nth_element(out, out.begin() + static_cast<std::ptrdiff_t>(count), before);
      out.resize(count);
    }
    std::ranges::sort(out, before);
    return;
  }
  for (std::size_t id = 0; id < row.size(); ++id) {
    const Candidate next{row[id], static_cast<TokenId>(id), 0.0F};
    if (!(next.logit > kNever)) continue;
    if (out.size() < count) {
      out.push_back(next);
      if (out.size() == count) std::ranges::make_heap(out, before);  // the worst on top
    } else if (before(next, out.front())) {
      std::ranges::pop_heap(out, before);
      out.back() = next;
      std::ranges::push_heap(out, before);
    }
  }
  std::ranges::sort(out, before);
}

SampledToken Sampler::score(std::span<const float> logits, TokenId token, std::uint32_t top) {
  const float largest = find_largest(logits).logit;
  weights_.resize(logits.size());
  const double normaliser = largest + std::log(weigh(logits, largest, 1.0F, weights_));
  const auto logprob = [&](float logit) { return static_cast<float>(logit - normaliser); };
  SampledToken scored{token, logprob(logits[static_cast<std::size_t>(token)]), {}};
  select_largest(logits, top, scratch_);
  for (const Candidate& c : scratch_) scored.top.push_back({c.token, logprob(c.logit)});
  return scored;
}

}  // namespace kvasir::engine
