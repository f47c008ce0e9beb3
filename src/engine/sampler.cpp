#include "engine/sampler.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>

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

// e^-x for x >= 0, to about 2e-7 of its value; 0 above 87.7. Branch-free, so that loops over a vocabulary
// become vector code, and the same on every machine, which libm is not. -x = n ln 2 + r with |r| <= ln 2 / 2;
// the series of e^r ends at r^7 / 7!, whose successor is below float's rounding.
inline float exp_of_minus(float x) {
  constexpr float kLargest = 88.0F;           // there n is -127, whose power of two has the bits of 0
  constexpr float kRound = 12582912.0F;       // 1.5 * 2^23: adding it drops the fraction
  constexpr float kLn2High = 0.693359375F;    // few bits: n * kLn2High is exact
  constexpr float kLn2Low = -2.12194440e-4F;  // ln 2 - kLn2High
  // Floats that are not negative are in the order of their bits; comparing those cannot trap, which is what
  // keeps compilers from making vector code of a comparison of floats.
  const auto bits = std::min(std::bit_cast<std::int32_t>(x), std::bit_cast<std::int32_t>(kLargest));
  const float clamped = std::bit_cast<float>(bits);
  const float n = (clamped * -1.44269504F + kRound) - kRound;
  const float r = (-clamped - n * kLn2High) - n * kLn2Low;
  float series = 1.0F / 5040.0F;
  series = series * r + 1.0F / 720.0F;
  series = series * r + 1.0F / 120.0F;
  series = series * r + 1.0F / 24.0F;
  series = series * r + 1.0F / 6.0F;
  series = series * r + 0.5F;
  series = series * r + 1.0F;
  series = series * r + 1.0F;
  return series * std::bit_cast<float>((static_cast<std::int32_t>(n) + 127) << 23);
}

// weights = exp((row - largest) * scale); returns their sum. Lanes keep the additions apart, in a fixed
// order.
double weigh(std::span<const float> row, float largest, float scale, std::span<float> weights) {
  const float* const from = row.data();
  float* const to = weights.data();
  for (std::size_t k = 0; k < row.size(); ++k) to[k] = exp_of_minus((largest - from[k]) * scale);
  constexpr std::size_t kLanes = 8;
  std::array<double, kLanes> lanes{};
  std::size_t i = 0;
  for (; i + kLanes <= row.size(); i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) lanes[lane] += weights[i + lane];
  }
  for (; i < row.size(); ++i) lanes[0] += weights[i];
  return std::accumulate(lanes.begin(), lanes.end(), 0.0);
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
  sampled.token =
      greedy ? largest.token : draw(params, row, largest.logit, uniform_at(params.seed, input.position));
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
  if (input.mask) apply_mask(*input.mask);
  return row_;
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

TokenId Sampler::draw(const SamplingParams& params, std::span<const float> row, float largest,
                      double uniform) {
  const float scale = 1.0F / params.temperature;
  const bool top_k = params.top_k > 0 && static_cast<std::size_t>(params.top_k) < row.size();
  double total = 0;
  if (top_k) {
    select_largest(row, static_cast<std::size_t>(params.top_k), candidates_);
    std::ranges::sort(candidates_, {}, &Candidate::token);
    for (Candidate& c : candidates_) {
      c.weight = exp_of_minus((largest - c.logit) * scale);
      total += c.weight;
    }
  } else {
    weights_.resize(row.size());
    total = weigh(row, largest, scale, weights_);
    if (params.top_p >= 1.0F && params.min_p <= 0.0F) return draw_from_row(row, uniform * total);
    // Tokens below (1 - top_p) / n of the mass hold less than 1 - top_p together, so top_p needs none of
    // them; half of that leaves room for rounding. Few tokens of a large vocabulary are above it.
    const double needless = 0.5 * (1.0 - params.top_p) * total / static_cast<double>(row.size());
    const float floor = std::max(params.min_p, static_cast<float>(needless));
    candidates_.clear();
    for (std::size_t id = 0; id < row.size(); ++id) {
      if (weights_[id] >= floor) candidates_.push_back({row[id], static_cast<TokenId>(id), weights_[id]});
    }
  }
  if (params.top_p < 1.0F) keep_top_p(params.top_p * total);
  // p >= min_p * p_max, on weights relative to the largest's.
  std::erase_if(candidates_, [&](const Candidate& c) { return c.weight < params.min_p; });

  double left = 0;
  for (const Candidate& c : candidates_) left += c.weight;
  left *= uniform;
  TokenId last = kNoToken;
  for (const Candidate& c : candidates_) {
    if (c.weight <= 0.0F) continue;
    last = c.token;
    left -= c.weight;
    if (left < 0) break;
  }
  return last;  // rounding may leave a crumb: it belongs to the last token
}

TokenId Sampler::draw_from_row(std::span<const float> row, double left) const {
  TokenId last = kNoToken;
  for (std::size_t id = 0; id < row.size(); ++id) {
    if (weights_[id] <= 0.0F) continue;
    last = static_cast<TokenId>(id);
    left -= weights_[id];
    if (left < 0) break;
  }
  return last;
}

// Keeps the fewest likeliest candidates whose weights reach `target`. Halves by rank until the boundary is
// found, without sorting what lies on either side.
void Sampler::keep_top_p(double target) {
  constexpr std::ptrdiff_t kSortBelow = 64;
  scratch_ = candidates_;
  auto low = scratch_.begin();
  auto high = scratch_.end();
  double mass = 0;  // of all that stands before `low`
  const auto sum = [](double total, const Candidate& c) { return total + c.weight; };
  while (high - low > kSortBelow) {
    const auto middle = low + (high - low) / 2;
    std::nth_element(low, middle, high, before);
    const double more = std::accumulate(low, middle, 0.0, sum);
    if (mass + more >= target) {
      high = middle;
    } else {
      mass += more;
      low = middle;
    }
  }
  std::sort(low, high, before);
  while (high - low > 1 && (mass += low->weight) < target) ++low;
  std::erase_if(candidates_, [&](const Candidate& c) { return before(*low, c); });
}

void Sampler::add_logprobs(const SampleInput& input, SampledToken& sampled) {
  const float largest = find_largest(input.logits).logit;
  weights_.resize(input.logits.size());
  const double normaliser = largest + std::log(weigh(input.logits, largest, 1.0F, weights_));
  const auto logprob = [&](float logit) { return static_cast<float>(logit - normaliser); };
  sampled.logprob = logprob(input.logits[static_cast<std::size_t>(sampled.token)]);
  select_largest(input.logits, *input.top_logprobs, scratch_);
  for (const Candidate& c : scratch_) sampled.top.push_back({c.token, logprob(c.logit)});
}

}  // namespace kvasir::engine
