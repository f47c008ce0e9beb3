#pragma once
// Scales (and minima) of a few weights that make the sum of their squared errors small: what the writers of
// quantised weights have in common.

#include <cstddef>
#include <cstdint>
#include <span>

namespace kvasir::weights {

// w = scale * (u - offset), u in [0, 2 * offset): the scale with the least squared error found. The extreme
// of greater magnitude may take the code that has no counterpart, so the scale may be negative. 0 for zeros.
float fit_symmetric(std::span<const float> x, int offset);

struct ScaleAndMin {
  float scale = 0;
  float min = 0;
};
// w = scale * u + min, u in [0, levels). `most_min`: the largest minimum that the type can store (0 where
// minima are subtracted, as in Q4_K).
ScaleAndMin fit_affine(std::span<const float> x, int levels, float most_min);

// The code nearest to x under w = scale * u + min, in [0, levels).
int nearest_code(float x, float scale, float min, int levels);

}  // namespace kvasir::weights
