// What recurrent layers compute, against their formulas in doubles, and the same bits however it is cut.

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "kernels/kernels.h"

namespace kvasir::kernels {
namespace {

using Floats = std::vector<float>;

Floats random_floats(std::size_t n, std::mt19937& rng, float sigma = 1.0F) {
  std::normal_distribution<float> normal(0.0F, sigma);
  Floats x(n);
  for (float& v : x) v = normal(rng);
  return x;
}

bool same(const Floats& a, const Floats& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

class Recurrent : public testing::TestWithParam<const KernelTable*> {};

INSTANTIATE_TEST_SUITE_P(Isa, Recurrent,
                         testing::ValuesIn(available_kernels().begin(), available_kernels().end()),
                         [](const auto& table) { return std::string(table.param->name); });

// A convolution of `tokens` tokens with everything that it may have.
struct Conv {
  std::size_t tokens, channels, taps;
  bool gated, silu;
  Floats x, weight, bias, state, out;

  Conv(std::size_t t, std::size_t c, std::size_t n, bool g, bool s)
      : tokens(t), channels(c), taps(n), gated(g), silu(s) {
    std::mt19937 rng(static_cast<unsigned>(t * 31 + c + n));
    x = random_floats(3 * tokens * channels, rng);
    weight = random_floats(taps * channels, rng);
    bias = random_floats(channels, rng);
    state = random_floats((taps - 1) * channels, rng);
    out.resize(tokens * channels);
  }
  ConvInput input(std::size_t first, std::size_t count) {
    ConvInput in;
    const float* row = x.data() + first * 3 * channels;
    in.x = row + 2 * channels;
    in.in_gate = gated ? row : nullptr;
    in.out_gate = gated ? row + channels : nullptr;
    in.x_stride = 3 * channels;
    in.tokens = count;
    in.channels = channels;
    in.taps = taps;
    in.silu = silu;
    in.weight = weight.data();
    in.bias = silu ? bias.data() : nullptr;
    in.state = state.data();
    in.channel_stride = channels;
    in.out = out.data() + first * channels;
    in.out_stride = channels;
    return in;
  }
  // u at token t, which may lie before the first.
  double u(const Floats& before, std::ptrdiff_t t, std::size_t c) const {
    if (t < 0)
      return before[static_cast<std::size_t>(t + static_cast<std::ptrdiff_t>(taps) - 1) * channels + c];
    const float* row = x.data() + static_cast<std::size_t>(t) * 3 * channels;
    return static_cast<double>(row[2 * channels + c]) * (gated ? row[c] : 1.0F);
  }
};

TEST_P(Recurrent, ConvolutionIsItsFormula) {
  for (const bool gated : {false, true}) {
    Conv conv(9, 48, gated ? 3 : 4, gated, !gated);
    const Floats before = conv.state;
    GetParam()->convolve(conv.input(0, conv.tokens));
    for (std::size_t t = 0; t < conv.tokens; ++t) {
      for (std::size_t c = 0; c < conv.channels; ++c) {
        double y = conv.silu ? conv.bias[c] : 0;
        for (std::size_t j = 0; j < conv.taps; ++j) {
          const auto at = static_cast<std::ptrdiff_t>(t + j + 1) - static_cast<std::ptrdiff_t>(conv.taps);
          y += conv.weight[j * conv.channels + c] * conv.u(before, at, c);
        }
        if (conv.silu) y /= 1 + std::exp(-y);
        if (gated) y *= conv.x[(3 * t + 1) * conv.channels + c];
        ASSERT_NEAR(conv.out[t * conv.channels + c], y, 2e-6 * (1 + std::abs(y))) << t << ' ' << c;
      }
    }
    for (std::size_t c = 0; c < conv.channels; ++c) {
      for (std::size_t j = 0; j + 1 < conv.taps; ++j) {
        const auto at =
            static_cast<std::ptrdiff_t>(conv.tokens + j + 1) - static_cast<std::ptrdiff_t>(conv.taps);
        EXPECT_FLOAT_EQ(conv.state[j * conv.channels + c], static_cast<float>(conv.u(before, at, c)));
      }
    }
  }
}

TEST_P(Recurrent, ConvolutionIsTheSameBitsInPiecesAndOnEveryCpu) {
  for (std::size_t taps = 2; taps <= kMaxTaps; ++taps) {
    Conv whole(23, 32, taps, true, true);
    Conv cut = whole;
    available_kernels().front()->convolve(whole.input(0, whole.tokens));
    for (std::size_t at = 0; at < cut.tokens;) {
      const std::size_t n = std::min<std::size_t>(cut.tokens - at, 1 + at % 5);
      GetParam()->convolve(cut.input(at, n));
      at += n;
    }
    EXPECT_TRUE(same(whole.out, cut.out) && same(whole.state, cut.state)) << taps;
  }
}

struct Head {
  std::size_t tokens = 11, rows = 24, columns = 80;  // four vectors at a time, and one
  Floats key, query, value, decay, rate, state, out;

  Head() {
    std::mt19937 rng(4);
    key = random_floats(tokens * rows, rng, 0.3F);
    query = random_floats(tokens * rows, rng, 0.3F);
    value = random_floats(tokens * columns, rng);
    std::uniform_real_distribution<float> share(0.0F, 1.0F);
    for (std::size_t t = 0; t < tokens; ++t) {
      decay.push_back(share(rng));
      rate.push_back(share(rng));
    }
    state = random_floats(rows * columns, rng);
    out.resize(tokens * columns);
  }
  RecurrenceInput input(std::size_t first, std::size_t count) {
    RecurrenceInput in;
    in.tokens = count;
    in.rows = rows;
    in.columns = columns;
    in.key = key.data() + first * rows;
    in.query = query.data() + first * rows;
    in.value = value.data() + first * columns;
    in.key_stride = rows;
    in.value_stride = columns;
    in.decay = decay.data() + first;
    in.rate = rate.data() + first;
    in.scalar_stride = 1;
    in.skip = 0.7F;
    in.state = state.data();
    in.out = out.data() + first * columns;
    in.out_stride = columns;
    return in;
  }
  // What both rules give, in doubles; `delta`: what is written is the difference from what is there.
  void expect(const Floats& before, bool delta) const {
    std::vector<double> s(before.begin(), before.end());
    for (std::size_t t = 0; t < tokens; ++t) {
      for (double& v : s) v *= decay[t];
      for (std::size_t c = 0; c < columns; ++c) {
        double there = 0;
        for (std::size_t r = 0; r < rows; ++r) there += s[r * columns + c] * key[t * rows + r];
        const double written = rate[t] * (value[t * columns + c] - (delta ? there : 0));
        double y = delta ? 0 : 0.7 * value[t * columns + c];
        for (std::size_t r = 0; r < rows; ++r) {
          s[r * columns + c] += written * key[t * rows + r];
          y += s[r * columns + c] * query[t * rows + r];
        }
        ASSERT_NEAR(out[t * columns + c], y, 1e-5 * (1 + std::abs(y))) << t << ' ' << c;
      }
    }
    for (std::size_t i = 0; i < s.size(); ++i) ASSERT_NEAR(state[i], s[i], 1e-5 * (1 + std::abs(s[i]))) << i;
  }
};

TEST_P(Recurrent, ScanAndDeltaRuleAreTheirFormulas) {
  for (const bool delta : {false, true}) {
    Head head;
    const Floats before = head.state;
    (delta ? GetParam()->delta_rule : GetParam()->scan)(head.input(0, head.tokens));
    head.expect(before, delta);
  }
}

TEST_P(Recurrent, ScanAndDeltaRuleAreTheSameBitsInPiecesAndOnEveryCpu) {
  for (const auto rule : {&KernelTable::scan, &KernelTable::delta_rule}) {
    Head whole;
    Head cut;
    (available_kernels().front()->*rule)(whole.input(0, whole.tokens));
    for (std::size_t at = 0; at < cut.tokens;) {
      const std::size_t n = std::min<std::size_t>(cut.tokens - at, 1 + at % 4);
      (GetParam()->*rule)(cut.input(at, n));
      at += n;
    }
    EXPECT_TRUE(same(whole.out, cut.out) && same(whole.state, cut.state));
  }
}

TEST_P(Recurrent, SigmoidGatesAreTheirFormulaAndTheSameBitsOnEveryCpu) {
  std::mt19937 rng(2);
  const Floats x = random_floats(96, rng, 6.0F);
  const Floats w = random_floats(96, rng);
  Floats y(96);
  Floats reference(96);
  GetParam()->sigmoid_mul(x.data(), w.data(), 96, y.data());
  available_kernels().front()->sigmoid_mul(x.data(), w.data(), 96, reference.data());
  EXPECT_TRUE(same(y, reference));
  for (std::size_t i = 0; i < 96; ++i)
    EXPECT_NEAR(y[i], w[i] / (1 + std::exp(-static_cast<double>(x[i]))), 1e-6);
}

}  // namespace
}  // namespace kvasir::kernels
