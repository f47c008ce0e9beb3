#include "weights/block_fit.h"

#include <algorithm>
#include <cmath>

namespace kvasir::weights {
namespace {

// Scales that are tried around the one that reaches the extremes: clipping them a little, or leaving room,
// often costs less than a coarser step for all.
constexpr int kSteps = 12;
constexpr float kStep = 0.04F;

float rounded(float x) {
  return std::nearbyint(x);
}

}  // namespace

int nearest_code(float x, float scale, float min, int levels) {
  if (scale == 0) return 0;
  const float u = rounded((x - min) / scale);
  return static_cast<int>(std::clamp(u, 0.0F, static_cast<float>(levels - 1)));
}

float fit_symmetric(std::span<const float> x, int offset) {
  float extreme = 0;
  for (const float v : x) {
    if (std::abs(v) > std::abs(extreme)) extreme = v;
  }
  if (!(std::abs(extreme) >= 1e-30F)) return 0;
  const auto low = static_cast<float>(-offset);
  const auto high = static_cast<float>(offset - 1);
  float best = extreme / low;
  double most = -1;
  for (int s = -kSteps; s <= kSteps; ++s) {
    const float inverse = (low + static_cast<float>(s) * kStep * 2) / extreme;
    double xq = 0;
    double qq = 0;
    for (const float v : x) {
      const float q = std::clamp(rounded(v * inverse), low, high);
      xq += static_cast<double>(v) * q;
      qq += static_cast<double>(q) * q;
    }
    // With the least-squares scale xq / qq the error is sum(x^2) - xq^2 / qq.
    if (qq > 0 && xq * xq / qq > most) {
      most = xq * xq / qq;
      best = static_cast<float>(xq / qq);
    }
  }
  return best;
}

ScaleAndMin fit_affine(std::span<const float> x, int levels, float most_min) {
  const auto [low_at, high_at] = std::minmax_element(x.begin(), x.end());
  const float low = std::min(*low_at, most_min);
  const float high = *high_at;
  const auto top = static_cast<float>(levels - 1);
  if (!(high - low >= 1e-30F)) return {0, low};
  ScaleAndMin best{(high - low) / top, low};
  double least = -1;
  const auto count = static_cast<double>(x.size());
  for (int s = -kSteps; s <= kSteps; ++s) {
    const float inverse = (top + static_cast<float>(s) * kStep * 2) / (high - low);
    ScaleAndMin fit{1 / inverse, low};
    // Codes for the scale, then scale and minimum for the codes, by least squares; twice.
    for (int round = 0; round < 2; ++round) {
      double u1 = 0;
      double u2 = 0;
      double x1 = 0;
      double xu = 0;
      for (const float v : x) {
        const double u = nearest_code(v, fit.scale, fit.min, levels);
        u1 += u;
        u2 += u * u;
        x1 += v;
        xu += v * u;
      }
      const double d = count * u2 - u1 * u1;
      if (d <= 0) break;
      double scale = (count * xu - x1 * u1) / d;
      double min = (x1 - scale * u1) / count;
      if (min > most_min && u2 > 0) {
        min = most_min;
        scale = (xu - min * u1) / u2;
      }
      if (!(scale > 0)) break;
      fit = {static_cast<float>(scale), static_cast<float>(min)};
    }
    double error = 0;
    for (const float v : x) {
      const double e =
          fit.scale * static_cast<float>(nearest_code(v, fit.scale, fit.min, levels)) + fit.min - v;
      error += e * e;
    }
    if (least < 0 || error < least) {
      least = error;
      best = fit;
    }
  }
  return best;
}

}  // namespace kvasir::weights
