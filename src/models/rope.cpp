#include "models/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace kvasir::models {
namespace {

// The pair that turns `turns` times over the trained context (YaRN, section 3.2).
double pair_that_turns(double turns, double base, std::size_t dimensions, double context) {
  return static_cast<double>(dimensions) * std::log(context / (turns * 2 * std::numbers::pi)) /
         (2 * std::log(base));
}

// Pairs that turn often stay, those that turn less than once over the trained context are stretched by
// `factor`, those between are mixed.
Rope yarn(Metadata& read, double base, std::size_t dimensions) {
  const double factor = read.required_number("rope.scaling.factor");
  const double context = read.number("rope.scaling.original_context_length",
                                     static_cast<double>(read.size("context_length", 1U << 30)));
  const double fast = read.number("rope.scaling.yarn_beta_fast", 32);
  const double slow = read.number("rope.scaling.yarn_beta_slow", 1);
  const double last = static_cast<double>(dimensions) - 1;
  double low = pair_that_turns(fast, base, dimensions, context);
  double high = pair_that_turns(slow, base, dimensions, context);
  // Bounds are whole pairs, but where a folder says otherwise (gpt-oss).
  if (!read.file().boolean("kvasir.yarn_between_pairs").value_or(false)) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(0.0, low);
  high = std::min(last, high);
  Rope rope = plain_rope(base, dimensions);
  for (std::size_t i = 0; i < rope.frequency.size(); ++i) {
    const double ramp = (static_cast<double>(i) - low) / std::max(0.001, high - low);
    const double stretched = std::clamp(ramp, 0.0, 1.0);
    rope.frequency[i] *= 1 - stretched + stretched / factor;
  }
  // Some models divide the factor by one with a slope of their own (mscale_all_dim), which may undo it.
  const double slope = read.number("rope.scaling.yarn_log_multiplier", 0);
  rope.magnitude = read.number("rope.scaling.attn_factor", 1) * (1 + 0.1 * std::log(factor)) /
                   (1 + 0.1 * slope * std::log(factor));
  return rope;
}

std::size_t rope_dimensions(Metadata& read, std::size_t head_dim) {
  const std::size_t n = read.size("rope.dimension_count", kernels::kMaxHeadDim, head_dim);
  if (n > head_dim || (n % 2 != 0 && n != head_dim)) {
    read.refuse("it rotates " + std::to_string(n) + " of a head's " + std::to_string(head_dim) +
                " dimensions, which is not supported");
    return head_dim;
  }
  return n;
}

double rope_base(Metadata& read) {
  const double base = read.number("rope.freq_base", 10000.0);
  if (base > 1) return static_cast<double>(static_cast<float>(base));
  read.fail("metadata '" + read.family() + ".rope.freq_base' is not a number above 1");
  return 10000.0;
}

}  // namespace

Rope plain_rope(double base, std::size_t dimensions, double scale) {
  Rope rope;
  rope.frequency.resize(dimensions / 2);
  for (std::size_t i = 0; i < rope.frequency.size(); ++i) {
    rope.frequency[i] = std::pow(base, -2.0 * static_cast<double>(i) / static_cast<double>(dimensions));
    rope.frequency[i] *= scale;
  }
  return rope;
}

Rope read_rope(Metadata& read, std::size_t head_dim) {
  const double base = rope_base(read);
  const std::size_t dimensions = rope_dimensions(read, head_dim);
  const std::string type = read.text("rope.scaling.type");
  Rope rope;
  if (type.empty() || type == "none") {
    rope = plain_rope(base, dimensions);
  } else if (type == "linear") {
    const double factor = read.required_number("rope.scaling.factor");
    rope = plain_rope(base, dimensions, static_cast<double>(static_cast<float>(1.0 / factor)));
  } else if (type == "yarn") {
    rope = yarn(read, base, dimensions);
  } else {
    read.refuse("rope scaling '" + type + "' is not supported yet");
  }
  if (read.has_tensor("rope_freqs.weight")) rope.factors = "rope_freqs.weight";
  return rope;
}

Rope read_longrope(Metadata& read, std::size_t head_dim, std::size_t context) {
  const std::size_t trained =
      read.size("rope.scaling.original_context_length", 1U << 30, read.size("context_length", 1U << 30));
  Rope rope = plain_rope(rope_base(read), rope_dimensions(read, head_dim));
  rope.factors = context > trained ? "rope_factors_long.weight" : "rope_factors_short.weight";
  rope.magnitude = read.number("rope.scaling.attn_factor", 1);
  return rope;
}

}  // namespace kvasir::models
