#include "engine/sampler.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace kvasir::engine {
namespace {

// Below this a temperature's inverse would overflow; the draw is as good as decided anyway.
constexpr float kGreedyBelow = 1e-5F;
constexpr float kNever = -std::numeric_limits<float>::infinity();

// The finaliser of splitmix64 (Steele, Lea, Flood 2014).
std::uint64_t mix(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15ULL;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

struct Largest {
  float logit = kNever;
  TokenId token = kNoToken;
};

// One pass over memory: lanes find each stretch's maximum (which the compiler turns into vector code), and
// only a stretch that beats all before it is searched for the first place of its maximum.
Largest find_largest(std::span<const float> row) {
  constexpr std::size_t kLanes = 16;
  constexpr std::size_t kStretch = 1024;
  Largest best;
  for (std::size_t begin = 0; begin < row.size(); begin += kStretch) {
    const auto stretch = row.subspan(begin, std::min(kStretch, row.size() - begin));
    std::array<float, kLanes> lanes;
    lanes.fill(kNever);
    std::size_t i = 0;
    for (; i + kLanes <= stretch.size(); i += kLanes) {
      for (std::size_t lane = 0; lane < kLanes; ++lane) {
        lanes[lane] = stretch[i + lane] > lanes[lane] ? stretch[i + lane] : lanes[lane];
      }
    }
    float largest = kNever;
    for (const float value : lanes) largest = value > largest ? value : largest;
    for (; i < stretch.size(); ++i) largest = stretch[i] > largest ? stretch[i] : largest;
    if (!(largest > best.logit)) continue;
    const auto place = std::ranges::find(stretch, largest) - stretch.begin();
    best = {largest, static_cast<TokenId>(begin + static_cast<std::size_t>(place))};
  }
  return best;
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
  sampled.token = greedy ? largest.token : draw(params, row, uniform_at(params.seed, input.position));
  if (input.top_logprobs) add_logprobs(input, sampled);
  return sampled;
}

std::span<const float> Sampler::adjust(const SamplingParams& params, const SampleInput& input) {
  const bool penalties = has_penalties(params);
  if (!penalties && params.logit_bias.empty() && !input.mask && input.banned.empty()) return input.logits;
  row_.assign(input.logits.begin(), input.logits.end());
  if (penalties) apply_penalties(params, input);
  for (const auto& [token, bias] : params.logit_bias) row_[static_cast<std::size_t>(token)] += bias;
  for (const TokenId token : input.banned) row_[static_cast<std::size_t>(token)] = kNever;
  if (input.mask) {
    for (std::size_t token = 0; token < row_.size(); ++token) {
      const std::size_t word = token / 32;
      const std::uint32_t bits = word < input.mask->size() ? (*input.mask)[word] : 0;
      if (bits == 0) {  // most words of a strict grammar
        const auto end = std::min(row_.size(), (word + 1) * 32);
        std::fill(row_.begin() + static_cast<std::ptrdiff_t>(token),
                  row_.begin() + static_cast<std::ptrdiff_t>(end), kNever);
        token = end - 1;
      } else if ((bits >> (token % 32) & 1U) == 0) {
        row_[token] = kNever;
      }
    }
  }
  return row_;
}

void Sampler::apply_penalties(const SamplingParams& params, const SampleInput& input) {
  counts_.resize(row_.size());
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

// The `count` first candidates of the row, in order. One pass: nearly all logits lose against the worst that
// has been kept.
void Sampler::select_largest(std::span<const float> row, std::size_t count, std::vector<Candidate>& out) {
  out.clear();
  if (count == 0) return;
  for (std::size_t id = 0; id < row.size(); ++id) {
    const Candidate next{row[id], static_cast<TokenId>(id)};
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

TokenId Sampler::draw(const SamplingParams& params, std::span<const float> row, double uniform) {
  candidates_.clear();
  if (params.top_k > 0 && static_cast<std::size_t>(params.top_k) < row.size()) {
    select_largest(row, static_cast<std::size_t>(params.top_k), candidates_);
  } else {
    for (std::size_t id = 0; id < row.size(); ++id) {
      if (row[id] > kNever) candidates_.push_back({row[id], static_cast<TokenId>(id)});
    }
  }
  const float inverse_temperature = 1.0F / params.temperature;
  const float largest = std::ranges::max_element(candidates_, {}, &Candidate::logit)->logit;
  if (params.top_p < 1.0F) keep_top_p(params.top_p, largest, inverse_temperature);
  if (params.min_p > 0.0F) {
    // p >= min_p * p_max, on weights relative to the largest's.
    std::erase_if(candidates_, [&](const Candidate& c) {
      return std::exp((c.logit - largest) * inverse_temperature) < params.min_p;
    });
  }
  std::ranges::sort(candidates_, {}, &Candidate::token);
  weights_.resize(candidates_.size());
  double total = 0;
  for (std::size_t i = 0; i < candidates_.size(); ++i) {
    weights_[i] = std::exp((candidates_[i].logit - largest) * inverse_temperature);
    total += weights_[i];
  }
  double left = uniform * total;
  TokenId last = candidates_.front().token;
  for (std::size_t i = 0; i < candidates_.size(); ++i) {
    if (weights_[i] <= 0) continue;
    last = candidates_[i].token;
    left -= weights_[i];
    if (left < 0) break;
  }
  return last;  // rounding may leave a crumb: it belongs to the last token
}

// Keeps the fewest likeliest candidates whose probabilities reach top_p.
void Sampler::keep_top_p(float top_p, float largest, float inverse_temperature) {
  double total = 0;
  weights_.resize(candidates_.size());
  for (std::size_t i = 0; i < candidates_.size(); ++i) {
    weights_[i] = std::exp((candidates_[i].logit - largest) * inverse_temperature);
    total += weights_[i];
  }
  // Tokens below (1 - top_p) / n of the mass hold less than 1 - top_p together, so none of them is needed;
  // half of that leaves room for rounding. What is left of a vocabulary is short enough to sort.
  const double floor = 0.5 * (1.0 - top_p) * total / static_cast<double>(candidates_.size());
  std::size_t kept = 0;
  for (std::size_t i = 0; i < candidates_.size(); ++i) {
    if (weights_[i] >= floor) candidates_[kept++] = candidates_[i];
  }
  candidates_.resize(kept);
  std::ranges::sort(candidates_, before);
  double mass = 0;
  std::size_t count = 0;
  while (count < candidates_.size()) {
    mass += std::exp((candidates_[count].logit - largest) * inverse_temperature);
    ++count;
    if (mass >= top_p * total) break;
  }
  candidates_.resize(std::max<std::size_t>(count, 1));
}

void Sampler::add_logprobs(const SampleInput& input, SampledToken& sampled) {
  const float largest = find_largest(input.logits).logit;
  double total = 0;
  for (const float logit : input.logits) total += std::exp(logit - largest);
  const auto logprob = [&](float logit) {
    return static_cast<float>(static_cast<double>(logit) - largest - std::log(total));
  };
  sampled.logprob = logprob(input.logits[static_cast<std::size_t>(sampled.token)]);
  select_largest(input.logits, *input.top_logprobs, top_);
  for (const Candidate& c : top_) sampled.top.push_back({c.token, logprob(c.logit)});
}

}  // namespace kvasir::engine
