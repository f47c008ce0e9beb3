// The draw: which tokens are left, and which of them it is.

#include <algorithm>
#include <cmath>

#include "engine/sampler.h"
#include "engine/softmax.h"

namespace kvasir::engine {
namespace {

// Apart from the draw's own number at the same position.
constexpr std::uint64_t kXtcStream = 0x2545f4914f6cdd1dULL;

bool draws_from_whole_row(const SamplingParams& p) {
  return p.top_p >= 1.0F && p.min_p <= 0.0F && p.typical_p >= 1.0F && p.xtc_probability <= 0.0F;
}

}  // namespace

TokenId Sampler::draw(const SamplingParams& params, const SampleInput& input, std::span<const float> row,
                      float largest) {
  const float scale = 1.0F / params.temperature;
  const double uniform = uniform_at(params.seed, input.position);
  double total = 0;
  if (params.top_k > 0 && static_cast<std::size_t>(params.top_k) < row.size()) {
    select_largest(row, static_cast<std::size_t>(params.top_k), candidates_);
    std::ranges::sort(candidates_, {}, &Candidate::token);
    for (Candidate& c : candidates_) {
      c.weight = exp_of_minus((largest - c.logit) * scale);
      total += c.weight;
    }
  } else {
    weights_.resize(row.size());
    total = weigh(row, largest, scale, weights_);
    if (draws_from_whole_row(params)) return draw_from_row(row, uniform * total);
    // Tokens below (1 - top_p) / n of the mass hold less than 1 - top_p together, so top_p needs none of
    // them; half of that leaves room for rounding. Few tokens of a large vocabulary are above it.
    const double needless = 0.5 * (1.0 - params.top_p) * total / static_cast<double>(row.size());
    const float floor = std::max(params.min_p, static_cast<float>(needless));
    candidates_.clear();
    for (std::size_t id = 0; id < row.size(); ++id) {
      if (weights_[id] >= floor) candidates_.push_back({row[id], static_cast<TokenId>(id), weights_[id]});
    }
  }
  if (params.top_p < 1.0F) keep_mass(params.top_p * total, before);
  // p >= min_p * p_max, on weights relative to the largest's.
  std::erase_if(candidates_, [&](const Candidate& c) { return c.weight < params.min_p; });
  if (params.typical_p < 1.0F) keep_typical(params.typical_p, largest, scale);
  if (params.xtc_probability > 0.0F &&
      uniform_at(params.seed ^ kXtcStream, input.position) < params.xtc_probability) {
    exclude_top_choices(params.xtc_threshold, input.never_excluded);
  }
  return draw_from_candidates(uniform);
}

TokenId Sampler::draw_from_candidates(double uniform) const {
  double left = mass_left();
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

double Sampler::mass_left() const {
  double mass = 0;
  for (const Candidate& c : candidates_) mass += c.weight;
  return mass;
}

// Keeps the fewest candidates, in the order of `comes_before`, whose weights reach `target`. Halves by rank
// until the boundary is found, without sorting what lies on either side.
template <class Before>
void Sampler::keep_mass(double target, const Before& comes_before) {
  constexpr std::ptrdiff_t kSortBelow = 64;
  scratch_ = candidates_;
  auto low = scratch_.begin();
  auto high = scratch_.end();
  double mass = 0;  // of all that stands before `low`
  const auto sum = [](double total, const Candidate& c) { return total + c.weight; };
  while (high - low > kSortBelow) {
    const auto middle = low + (high - low) / 2;
    std::nth_element(low, middle, high, comes_before);
    const double more = std::accumulate(low, middle, 0.0, sum);
    if (mass + more >= target) {
      high = middle;
    } else {
      mass += more;
      low = middle;
    }
  }
  std::sort(low, high, comes_before);
  while (high - low > 1 && (mass += low->weight) < target) ++low;
  std::erase_if(candidates_, [&](const Candidate& c) { return comes_before(*low, c); });
}

// Locally typical sampling (Meister, Pimentel, Wiher, Cotterell, arXiv 2202.00666): those whose information,
// -log p, is nearest to what a token of this distribution has on average, its entropy.
void Sampler::keep_typical(float typical_p, float largest, float scale) {
  const double total = mass_left();
  // -log p = below + log(total), where `below` is how far under the largest a logit lies, in temperature's
  // units; so the distance from the entropy is |below - mean of below|: log(total) falls out.
  const auto below = [=](const Candidate& c) { return (largest - c.logit) * scale; };
  double mean = 0;
  for (const Candidate& c : candidates_) {
    if (c.weight > 0.0F) mean += double{c.weight} / total * below(c);
  }
  const auto nearer = [&](const Candidate& a, const Candidate& b) {
    const double to_a = std::abs(below(a) - mean);
    const double to_b = std::abs(below(b) - mean);
    return to_a != to_b ? to_a < to_b : a.token < b.token;
  };
  // Without weight they cannot be drawn, and infinitely far ones have no order.
  std::erase_if(candidates_, [](const Candidate& c) { return c.weight <= 0.0F; });
  keep_mass(typical_p * total, nearer);
}

// XTC, "exclude top choices" (p-e-w 2024, github.com/oobabooga/text-generation-webui/pull/6335): of the
// tokens that are at least `threshold` likely, all go but the least likely, so that a fitting one is always
// left.
void Sampler::exclude_top_choices(float threshold, std::span<const TokenId> never) {
  const double needed = threshold * mass_left();
  float least = 0.0F;
  std::size_t count = 0;
  for (const Candidate& c : candidates_) {
    if (c.weight <= 0.0F || c.weight < needed) continue;
    least = count++ == 0 ? c.weight : std::min(least, c.weight);
  }
  if (count < 2) return;
  std::erase_if(candidates_, [&](const Candidate& c) {
    return c.weight > least && std::ranges::find(never, c.token) == never.end();
  });
}

}  // namespace kvasir::engine
