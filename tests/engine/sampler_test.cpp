#include "engine/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <random>

namespace kvasir::engine {
namespace {

bool allowed(const SampleInput& input, std::size_t id) {
  if (std::ranges::find(input.banned, static_cast<TokenId>(id)) != input.banned.end()) return false;
  return !input.mask || (((*input.mask)[id / 32] >> (id % 32)) & 1U) != 0;
}

using Weighted = std::vector<std::pair<double, TokenId>>;

double mass_of(const Weighted& order) {
  double total = 0;
  for (const auto& entry : order) total += entry.first;
  return total;
}

// arXiv 2202.00666, section 4: the least set of tokens, nearest to the entropy first, that holds the mass.
void keep_typical(Weighted& order, double typical_p) {
  if (typical_p >= 1) return;
  const double total = mass_of(order);
  double entropy = 0;
  for (const auto& [weight, token] : order) entropy -= weight / total * std::log(weight / total);
  std::ranges::sort(order, {}, [&](const auto& entry) {
    return std::pair(std::abs(-std::log(entry.first / total) - entropy), entry.second);
  });
  double mass = 0;
  std::size_t keep = 0;
  while (keep < order.size() && (keep == 0 || mass < typical_p * total)) mass += order[keep++].first;
  order.resize(keep);
}

void exclude_top_choices(Weighted& order, double threshold, std::span<const TokenId> never) {
  const double total = mass_of(order);
  double least = 2 * total;
  for (const auto& [weight, token] : order)
    if (weight >= threshold * total) least = std::min(least, weight);
  std::erase_if(order, [&](const auto& entry) {
    return entry.first > least && std::ranges::find(never, entry.second) == never.end();
  });
}

// The definition in the header, read aloud: sort everything, no shortcuts. Returns (id, probability), by id.
std::map<TokenId, double> reference(const SamplingParams& p, const SampleInput& input) {
  const std::size_t vocab = input.logits.size();
  Weighted order;
  for (std::size_t id = 0; id < vocab; ++id) {
    const auto token = static_cast<TokenId>(id);
    float x = input.logits[id];
    const auto answer = input.history.subspan(input.prompt_size);
    const auto count = static_cast<float>(std::ranges::count(answer, token));
    if (std::ranges::find(input.history, token) != input.history.end() && p.repetition_penalty != 1.0F) {
      x = x > 0 ? x / p.repetition_penalty : x * p.repetition_penalty;
    }
    if (count > 0) x -= p.presence_penalty + p.frequency_penalty * count;
    if (p.logit_bias.contains(token)) x += p.logit_bias.at(token);
    if (allowed(input, id)) order.emplace_back(x, token);
  }
  std::ranges::sort(order, [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first > b.first : a.second < b.second;
  });
  if (p.temperature == 0) return {{order.front().second, 1.0}};
  if (p.top_k > 0) order.resize(std::min<std::size_t>(order.size(), static_cast<std::size_t>(p.top_k)));
  const double largest = order.front().first;
  double total = 0;
  for (auto& entry : order) total += entry.first = std::exp((entry.first - largest) / p.temperature);
  if (p.top_p < 1) {
    double mass = 0;
    std::size_t keep = 0;
    while (keep < order.size() && (keep == 0 || mass < p.top_p * total)) mass += order[keep++].first;
    order.resize(keep);
  }
  std::erase_if(order, [&](const auto& entry) { return entry.first < p.min_p; });
  keep_typical(order, p.typical_p);
  if (p.xtc_probability == 1) exclude_top_choices(order, p.xtc_threshold, input.never_excluded);
  total = mass_of(order);
  std::map<TokenId, double> result;
  for (const auto& [weight, token] : order) result[token] = weight / total;
  return result;
}

class RandomCase {
 public:
  explicit RandomCase(std::uint64_t seed) : random_(seed) {
    const std::size_t vocab = 20 + pick(3000);
    std::normal_distribution<float> normal(0.0F, 3.0F);
    for (std::size_t i = 0; i < vocab; ++i) logits_.push_back(pick(10) == 0 ? 1.0F : normal(random_));
    for (std::size_t i = pick(50); i > 0; --i) history_.push_back(static_cast<TokenId>(pick(vocab)));
    input.prompt_size = pick(history_.size() + 1);
    if (pick(3) == 0)
      params.temperature = 0;
    else
      params.temperature = 0.2F + static_cast<float>(pick(20)) / 10.0F;
    if (pick(2) == 0) params.top_p = static_cast<float>(1 + pick(99)) / 100.0F;
    if (pick(2) == 0) params.top_k = static_cast<std::int32_t>(1 + pick(vocab));
    if (pick(3) == 0) params.min_p = static_cast<float>(pick(50)) / 100.0F;
    if (pick(3) == 0) params.typical_p = static_cast<float>(1 + pick(99)) / 100.0F;
    if (pick(3) == 0) params.xtc_probability = 1.0F;
    params.xtc_threshold = static_cast<float>(1 + pick(20)) / 100.0F;
    if (pick(3) == 0) params.repetition_penalty = 1.3F;
    if (pick(3) == 0) params.presence_penalty = 0.7F;
    if (pick(3) == 0) params.frequency_penalty = 0.3F;
    if (pick(4) == 0) params.logit_bias[static_cast<TokenId>(pick(vocab))] = 4.0F;
    if (pick(3) == 0) {
      for (std::size_t i = 0; i < (vocab + 31) / 32; ++i) {
        mask_.push_back(pick(2) == 0 ? 0 : static_cast<std::uint32_t>(random_()));
      }
      mask_[0] |= 2U;  // token 1 is always allowed
      input.mask = mask_;
    }
    if (pick(3) == 0) banned_ = {0, 2};
    if (pick(3) == 0)
      never_excluded_ = {static_cast<TokenId>(pick(vocab)), static_cast<TokenId>(pick(vocab))};
    input.never_excluded = never_excluded_;
    input.logits = logits_;
    input.history = history_;
    input.banned = banned_;
    params.seed = random_();
  }
  SamplingParams params;
  SampleInput input;

 private:
  std::size_t pick(std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(random_); }
  std::mt19937_64 random_;
  std::vector<float> logits_;
  std::vector<TokenId> history_;
  std::vector<std::uint32_t> mask_;
  std::vector<TokenId> banned_;
  std::vector<TokenId> never_excluded_;
};

TEST(SamplerProperty, DrawsWhatThePlainDefinitionDraws) {
  Sampler sampler;  // one for all: nothing of a call may stick
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    RandomCase one(seed);
    const auto expected = reference(one.params, one.input);
    for (std::uint64_t position = 0; position < 10; ++position) {
      one.input.position = position;
      const TokenId token = sampler.sample(one.params, one.input).value().token;
      const double uniform = uniform_at(one.params.seed, position);
      double before = 0;
      ASSERT_TRUE(expected.contains(token)) << "seed " << seed << " position " << position;
      for (const auto& [id, probability] : expected) {
        if (id == token) {
          // Up to rounding, the drawn number falls into the token's own interval.
          ASSERT_GT(uniform, before - 1e-5) << "seed " << seed;
          ASSERT_LT(uniform, before + probability + 1e-5) << "seed " << seed;
          break;
        }
        before += probability;
      }
    }
  }
}

TEST(Sampler, GreedyTakesTheLowestIdOfTheLargest) {
  Sampler sampler;
  std::vector<float> logits(5000, -1.0F);
  logits[1500] = logits[1400] = logits[4999] = 3.0F;
  SamplingParams params;
  params.temperature = 0;
  SampleInput input;
  input.logits = logits;
  EXPECT_EQ(sampler.sample(params, input).value().token, 1400);
}

TEST(Sampler, DrawsFollowTheDistribution) {
  Sampler sampler;
  const std::vector<float> logits = {std::log(0.5F), std::log(0.3F), std::log(0.15F), std::log(0.05F)};
  SampleInput input;
  input.logits = logits;
  SamplingParams params;
  params.seed = 42;
  constexpr int kDraws = 100'000;
  std::array<int, 4> counts{};
  for (int i = 0; i < kDraws; ++i) {
    input.position = static_cast<std::uint64_t>(i);
    ++counts[static_cast<std::size_t>(sampler.sample(params, input).value().token)];
  }
  // Six standard deviations: the seed is fixed, so this either holds or the draw is wrong.
  const std::array<double, 4> expected = {0.5, 0.3, 0.15, 0.05};
  for (std::size_t i = 0; i < 4; ++i) {
    const double sigma = std::sqrt(kDraws * expected[i] * (1 - expected[i]));
    EXPECT_NEAR(counts[i], kDraws * expected[i], 6 * sigma);
  }
}

// Token 0 has 0.5, 1 has 0.3, 2 has 0.15, 3 has 0.05.
std::array<int, 4> draws(const SamplingParams& params, int count, std::span<const TokenId> never = {}) {
  static const std::vector<float> kLogits = {std::log(0.5F), std::log(0.3F), std::log(0.15F),
                                             std::log(0.05F)};
  Sampler sampler;
  SampleInput input;
  input.logits = kLogits;
  input.never_excluded = never;
  std::array<int, 4> counts{};
  for (int i = 0; i < count; ++i) {
    input.position = static_cast<std::uint64_t>(i);
    ++counts[static_cast<std::size_t>(sampler.sample(params, input).value().token)];
  }
  return counts;
}

TEST(Xtc, ActsAsOftenAsAskedAndWithoutRegardToTheDraw) {
  SamplingParams params;
  params.seed = 7;
  params.xtc_probability = 0.4F;
  params.xtc_threshold = 0.2F;  // tokens 0 and 1 reach it: 0 goes, 1 stays
  constexpr int kDraws = 100'000;
  const auto counts = draws(params, kDraws);
  // 0.6 of the plain distribution and 0.4 of {0.3, 0.15, 0.05} / 0.5.
  const std::array<double, 4> expected = {0.3, 0.42, 0.21, 0.07};
  for (std::size_t i = 0; i < 4; ++i) {
    const double sigma = std::sqrt(kDraws * expected[i] * (1 - expected[i]));
    EXPECT_NEAR(counts[i], kDraws * expected[i], 6 * sigma);
  }
}

TEST(Xtc, LeavesASingleTopChoiceAndWhatMustStayPossible) {
  SamplingParams params;
  params.xtc_probability = 1.0F;
  params.xtc_threshold = 0.4F;
  EXPECT_GT(draws(params, 1000)[0], 0) << "nothing else is likely enough to take its place";
  params.xtc_threshold = 0.1F;
  EXPECT_EQ(draws(params, 1000)[0], 0);
  const std::array<TokenId, 1> never = {0};
  EXPECT_GT(draws(params, 1000, never)[0], 0);
  EXPECT_EQ(draws(params, 1000, never)[1], 0);
}

TEST(Typical, DropsTheLikeliestTokenWhereItSaysLessThanUsual) {
  // 0.94 of the mass is spread evenly; the entropy is near theirs, far from the likeliest's.
  std::vector<float> logits(95, std::log(0.01F));
  logits[0] = std::log(0.06F);
  Sampler sampler;
  SamplingParams params;
  params.typical_p = 0.5F;
  SampleInput input;
  input.logits = logits;
  std::vector<int> counts(95);
  for (input.position = 0; input.position < 5000; ++input.position)
    ++counts[static_cast<std::size_t>(sampler.sample(params, input).value().token)];
  EXPECT_EQ(counts[0], 0);
  EXPECT_GT(counts[1], 0);
  EXPECT_GT(counts[50], 0) << "fifty of equal typicality make half of the mass";
  EXPECT_EQ(counts[52], 0) << "ties go to the lower id";
}

TEST(Sampler, UnderAMaskBansAreWishes) {
  Sampler sampler;
  const std::vector<float> logits = {1.0F, 2.0F, 3.0F};
  const std::vector<TokenId> banned = {2};
  SampleInput input;
  input.logits = logits;
  input.banned = banned;
  const std::vector<std::uint32_t> end_or_more = {0b101};
  const std::vector<std::uint32_t> end_only = {0b100};
  input.mask = end_or_more;
  EXPECT_EQ(sampler.sample(SamplingParams{}, input).value().token, 0);
  input.mask = end_only;
  EXPECT_EQ(sampler.sample(SamplingParams{}, input).value().token, 2);
}

TEST(Sampler, NeighbouringSeedsAndPositionsAreIndependent) {
  double sum = 0;
  double products = 0;
  constexpr int kCount = 50'000;
  for (int i = 0; i < kCount; ++i) {
    const double u = uniform_at(1, static_cast<std::uint64_t>(i));
    const double v = uniform_at(2, static_cast<std::uint64_t>(i));
    ASSERT_GE(u, 0.0);
    ASSERT_LT(u, 1.0);
    sum += u;
    products += (u - 0.5) * (v - 0.5);
  }
  EXPECT_NEAR(sum / kCount, 0.5, 0.01);
  EXPECT_NEAR(products / kCount, 0.0, 0.003);
}

TEST(Sampler, LogprobsAreOfTheRawRow) {
  Sampler sampler;
  const std::vector<float> logits = {1.0F, 2.0F, 3.0F, 2.0F};
  const std::vector<std::uint32_t> mask = {0b0001};
  SampleInput input;
  input.logits = logits;
  input.mask = mask;
  input.top_logprobs = 3;
  const SampledToken sampled = sampler.sample(SamplingParams{}, input).value();
  const double total = std::exp(1.0) + 2 * std::exp(2.0) + std::exp(3.0);
  EXPECT_EQ(sampled.token, 0);
  EXPECT_NEAR(sampled.logprob, 1.0 - std::log(total), 1e-5);
  ASSERT_EQ(sampled.top.size(), 3U);
  EXPECT_EQ(sampled.top[0].token, 2);
  EXPECT_EQ(sampled.top[1].token, 1);
  EXPECT_EQ(sampled.top[2].token, 3);
  EXPECT_NEAR(sampled.top[0].logprob, 3.0 - std::log(total), 1e-5);
}

TEST(Sampler, SaysWhenNothingMayBeSampled) {
  Sampler sampler;
  const std::vector<float> logits = {1.0F, 2.0F};
  const std::vector<std::uint32_t> mask = {0};
  SampleInput input;
  input.logits = logits;
  input.mask = mask;
  EXPECT_FALSE(sampler.sample(SamplingParams{}, input).ok());
}

}  // namespace
}  // namespace kvasir::engine
