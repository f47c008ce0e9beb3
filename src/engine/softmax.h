#pragma once
// Passes over a row of logits that sampling is made of. Inside the engine only.

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <limits>
#include <numeric>
#include <span>

#include "base/types.h"

namespace kvasir::engine {

inline constexpr float kNever = -std::numeric_limits<float>::infinity();

struct Largest {
  float logit = kNever;
  TokenId token = kNoToken;
};

// One pass over memory: lanes find each stretch's maximum (which the compiler turns into vector code), and
// only a stretch that beats all before it is searched for the first place of its maximum.
inline Largest find_largest(std::span<const float> row) {
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
inline double weigh(std::span<const float> row, float largest, float scale, std::span<float> weights) {
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

}  // namespace kvasir::engine
