// KV storage and attention of every instruction set, in every KV type, against a plain reference in doubles,
// and against each other bit for bit.

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <tuple>
#include <vector>

#include "kernels/half.h"
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

// What one token's values should read as once they have been stored.
Floats rounded(KvType type, const float* x, std::size_t n) {
  Floats out(x, x + n);
  float largest = 0;
  for (const float v : out) largest = std::max(largest, std::abs(v));
  for (float& v : out) {
    int exponent = 0;
    const double fraction = std::frexp(static_cast<double>(v), &exponent);
    if (type == KvType::kF16) v = f16_to_f32(f32_to_f16(v));
    if (type == KvType::kBf16) {
      v = static_cast<float>(std::ldexp(std::nearbyint(std::ldexp(fraction, 8)), exponent - 8));
    }
    if (type == KvType::kQ8 && largest > 0) v = std::nearbyint(v * (127.0F / largest)) * (largest / 127.0F);
  }
  return out;
}

// A paged cache of one head with a shuffled block table.
struct Cache {
  Cache(const KernelTable& table, KvType kv_type, std::size_t keys, std::size_t dim, std::mt19937& rng,
        std::size_t dim_of_values = 0)
      : type(kv_type),
        head_dim(dim),
        value_dim(dim_of_values == 0 ? dim : dim_of_values),
        k(random_floats(keys * dim, rng)),
        v(random_floats(keys * value_dim, rng)) {
    const std::size_t count = (keys + kBlockTokens - 1) / kBlockTokens;
    block_bytes = kv_head_layout(type, dim, value_dim).bytes + 128;
    memory.assign((count + 2) * block_bytes, std::byte{0x7F});  // unwritten places: NaN, or huge
    for (std::size_t i = 0; i < count; ++i)
      blocks.push_back(BlockId{static_cast<std::uint32_t>((i * 7 + 1) % (count + 2))});
    std::vector<bool> used(count + 2);
    for (BlockId& b : blocks) {
      auto i = index_of(b);
      while (used[i]) i = (i + 1) % static_cast<std::uint32_t>(used.size());
      used[i] = true;
      b = BlockId{i};
    }
    for (std::size_t i = 0; i < keys; ++i) write(table, i);
  }
  void write(const KernelTable& table, std::size_t i) {
    table.store_kv(type, k.data() + i * head_dim, v.data() + i * value_dim, head_dim, value_dim,
                   i % kBlockTokens, memory.data() + index_of(blocks[i / kBlockTokens]) * block_bytes + 64);
  }
  KvType type;
  std::size_t head_dim;
  std::size_t value_dim;
  Floats k, v;
  std::size_t block_bytes = 0;
  std::vector<std::byte> memory;
  std::vector<BlockId> blocks;
};

Floats attend(const KernelTable& table, const Cache& cache, const Floats& q, std::size_t tokens,
              std::size_t heads, std::size_t position, bool bf16 = false, std::size_t window = 0,
              float soft_cap = 0) {
  const auto attend_segment = bf16 ? table.attention_segment_bf16 : table.attention_segment;
  const std::size_t d = cache.head_dim;
  const std::size_t value_dim = cache.value_dim;
  const std::size_t state = attention_state_floats(value_dim);
  AttentionInput in{q.data(),
                    heads * d,
                    d,
                    tokens,
                    heads,
                    static_cast<std::uint32_t>(position),
                    d,
                    value_dim,
                    window,
                    soft_cap,
                    cache.type,
                    cache.memory.data(),
                    cache.block_bytes,
                    64,
                    cache.blocks};
  const std::size_t rows = tokens * heads;
  Floats total(rows * state);
  Floats part(rows * state);
  std::vector<std::byte> scratch(attention_scratch_bytes(rows, d, value_dim));
  const std::size_t blocks = (position + tokens + kBlockTokens - 1) / kBlockTokens;
  for (std::size_t b = 0; b < blocks; b += kSegmentBlocks) {
    Floats& into = b == 0 ? total : part;
    attend_segment(in, b, std::min(b + kSegmentBlocks, blocks), into.data(), scratch.data());
    if (b == 0) continue;
    for (std::size_t r = 0; r < rows; ++r)
      table.attention_merge(total.data() + r * state, part.data() + r * state, value_dim);
  }
  Floats out(rows * value_dim);
  for (std::size_t r = 0; r < rows; ++r)
    table.attention_finish(total.data() + r * state, value_dim, out.data() + r * value_dim);
  return out;
}

constexpr KvType kTypes[] = {KvType::kF16, KvType::kBf16, KvType::kQ8, KvType::kF32};

class Attention : public testing::TestWithParam<std::tuple<const KernelTable*, KvType>> {
 protected:
  const KernelTable& table() const { return *std::get<0>(GetParam()); }
  const KernelTable& scalar() const { return *available_kernels().front(); }
  KvType type() const { return std::get<1>(GetParam()); }
};

INSTANTIATE_TEST_SUITE_P(Isa, Attention,
                         testing::Combine(testing::ValuesIn(available_kernels().begin(),
                                                            available_kernels().end()),
                                          testing::ValuesIn(kTypes)),
                         [](const auto& isa) {
                           return std::string(std::get<0>(isa.param)->name) + "_" +
                                  std::string(name_of(std::get<1>(isa.param)));
                         });

TEST_P(Attention, StoredValuesAreTheRoundedOnesInTheirPlaces) {
  std::mt19937 rng(1);
  constexpr std::size_t kDim = 80;
  const KvHeadLayout layout = kv_head_layout(type(), kDim, kDim);
  std::vector<std::byte> block(layout.bytes);
  const auto element = [&](std::size_t part, std::size_t index) -> float {
    const std::byte* p = block.data() + part + index * kv_element_bytes(type());
    std::uint16_t half = 0;
    float whole = 0;
    if (type() == KvType::kQ8) return static_cast<float>(static_cast<std::int8_t>(*p));
    if (type() == KvType::kF32) std::memcpy(&whole, p, sizeof(whole));
    if (type() == KvType::kF32) return whole;
    std::memcpy(&half, p, sizeof(half));
    return type() == KvType::kF16 ? f16_to_f32(half) : bf16_to_f32(half);
  };
  const auto scale = [&](std::size_t part, std::size_t slot) {
    float s = 1;
    if (type() == KvType::kQ8) std::memcpy(&s, block.data() + part + slot * sizeof(s), sizeof(s));
    return s;
  };
  for (const std::size_t slot : {0U, 1U, 37U, 63U}) {
    const Floats k = random_floats(kDim, rng, 20.0F);
    const Floats v = random_floats(kDim, rng, 0.01F);
    table().store_kv(type(), k.data(), v.data(), kDim, kDim, slot, block.data());
    const Floats expected_k = rounded(type(), k.data(), kDim);
    const Floats expected_v = rounded(type(), v.data(), kDim);
    for (std::size_t d = 0; d < kDim; ++d) {
      ASSERT_EQ(element(0, d * kBlockTokens + slot) * scale(layout.key_scales, slot), expected_k[d]);
      ASSERT_EQ(element(layout.values, slot * kDim + d) * scale(layout.value_scales, slot), expected_v[d]);
    }
  }
}

// Softmax over all keys up to each token, or the last `window` of them, in doubles.
std::vector<double> reference(const Cache& cache, const Floats& q, std::size_t tokens, std::size_t heads,
                              std::size_t position, std::size_t window = 0, double soft_cap = 0) {
  const std::size_t d = cache.head_dim;
  const std::size_t value_dim = cache.value_dim;
  Floats k;
  Floats v;
  for (std::size_t i = 0; i < position + tokens; ++i) {
    for (const float x : rounded(cache.type, cache.k.data() + i * d, d)) k.push_back(x);
    for (const float x : rounded(cache.type, cache.v.data() + i * value_dim, value_dim)) v.push_back(x);
  }
  std::vector<double> out(tokens * heads * value_dim);
  for (std::size_t r = 0; r < tokens * heads; ++r) {
    const std::size_t keys = position + r / heads + 1;
    const std::size_t first = window != 0 && keys > window ? keys - window : 0;
    std::vector<double> p(keys);
    double most = -1e300;
    for (std::size_t i = first; i < keys; ++i) {
      for (std::size_t j = 0; j < d; ++j) p[i] += static_cast<double>(q[r * d + j]) * k[i * d + j];
      if (soft_cap > 0) p[i] = soft_cap * std::tanh(p[i] / soft_cap);
      most = std::max(most, p[i]);
    }
    double sum = 0;
    for (std::size_t i = first; i < keys; ++i) sum += p[i] = std::exp(p[i] - most);
    for (std::size_t i = first; i < keys; ++i) {
      for (std::size_t j = 0; j < value_dim; ++j) out[r * value_dim + j] += p[i] / sum * v[i * value_dim + j];
    }
  }
  return out;
}

constexpr std::size_t kTokens = 5;
constexpr std::size_t kHeads = 3;
constexpr std::size_t kPosition = 700;

TEST_P(Attention, IsSoftmaxOverAllKeysUpToTheToken) {
  std::mt19937 rng(7);
  for (const std::size_t d : {64U, 80U, 128U}) {
    const Cache cache(table(), type(), kPosition + kTokens, d, rng);
    const Floats q = random_floats(kTokens * kHeads * d, rng, 0.3F);
    const Floats out = attend(table(), cache, q, kTokens, kHeads, kPosition);
    const std::vector<double> expected = reference(cache, q, kTokens, kHeads, kPosition);
    // Scores add up some 30 in magnitude: a few units of their last place, times values of up to 4.
    for (std::size_t i = 0; i < out.size(); ++i) ASSERT_NEAR(out[i], expected[i], 1e-5) << "dimension " << i;
  }
}

TEST_P(Attention, SeesItsWindowOnly) {
  std::mt19937 rng(7);
  const std::size_t d = 64;
  const Cache cache(table(), type(), kPosition + kTokens, d, rng);
  const Floats q = random_floats(kTokens * kHeads * d, rng, 0.3F);
  // Within a block, over blocks, from one segment into the next, and wider than what there is.
  for (const std::size_t window : {1U, 7U, 64U, 100U, 192U, 300U, 5000U}) {
    const Floats out = attend(table(), cache, q, kTokens, kHeads, kPosition, false, window);
    const std::vector<double> expected = reference(cache, q, kTokens, kHeads, kPosition, window);
    for (std::size_t i = 0; i < out.size(); ++i)
      ASSERT_NEAR(out[i], expected[i], 1e-5) << "window " << window;
  }
}

TEST_P(Attention, NothingBeforeTheWindowMatters) {
  std::mt19937 rng(7);
  const std::size_t d = 64;
  Cache cache(table(), type(), kPosition + kTokens, d, rng);
  const Floats q = random_floats(kTokens * kHeads * d, rng, 0.3F);
  for (const bool bf16 : {false, true}) {
    if (bf16 && table().attention_segment_bf16 == nullptr) continue;
    const Floats before = attend(table(), cache, q, kTokens, kHeads, kPosition, bf16, 150);
    for (std::size_t i = 0; i <= kPosition - 150; ++i) {
      std::fill_n(cache.k.begin() + static_cast<long>(i * d), d, bf16 ? 2.0F : -3.0F);
      std::fill_n(cache.v.begin() + static_cast<long>(i * d), d, bf16 ? -5.0F : 60.0F);
      cache.write(table(), i);
    }
    const Floats after = attend(table(), cache, q, kTokens, kHeads, kPosition, bf16, 150);
    EXPECT_EQ(0, std::memcmp(before.data(), after.data(), before.size() * sizeof(float)));
  }
}

TEST_P(Attention, CapsScoresAndTakesValuesOfAnotherSize) {
  std::mt19937 rng(7);
  for (const std::size_t value_dim : {48U, 64U, 128U}) {
    const Cache cache(table(), type(), kPosition + kTokens, 80, rng, value_dim);
    const Floats q = random_floats(kTokens * kHeads * 80, rng, 0.5F);
    const Floats out = attend(table(), cache, q, kTokens, kHeads, kPosition, false, 0, 2.0F);
    const std::vector<double> expected = reference(cache, q, kTokens, kHeads, kPosition, 0, 2.0);
    for (std::size_t i = 0; i < out.size(); ++i) ASSERT_NEAR(out[i], expected[i], 1e-5) << "of " << value_dim;
  }
}

TEST_P(Attention, WindowsAndCapsGiveTheSameBitsForOneTokenAsForMany) {
  std::mt19937 rng(8);
  const std::size_t d = 64;
  const std::size_t heads = 3;
  const std::size_t tokens = 70;
  const std::size_t position = 590;
  const Cache cache(table(), type(), position + tokens, d, rng);
  const Floats q = random_floats(tokens * heads * d, rng, 0.3F);
  for (const bool bf16 : {false, true}) {
    if (bf16 && table().attention_segment_bf16 == nullptr) continue;
    const Floats all = attend(table(), cache, q, tokens, heads, position, bf16, 110, 5.0F);
    for (std::size_t t = 0; t < tokens; ++t) {
      const Floats one(q.begin() + static_cast<long>(t * heads * d),
                       q.begin() + static_cast<long>((t + 1) * heads * d));
      const Floats alone = attend(table(), cache, one, 1, heads, position + t, bf16, 110, 5.0F);
      ASSERT_EQ(0, std::memcmp(alone.data(), all.data() + t * heads * d, alone.size() * sizeof(float)))
          << "token " << t;
    }
  }
}

// Queries, keys, values and weights lose 2^-9 of themselves at most, in any direction: over hundreds of keys
// the outputs' errors stay within a few hundredths of the values' spread, and average far less.
TEST_P(Attention, InBf16IsTheSameWithinBf16sRounding) {
  if (table().attention_segment_bf16 == nullptr) GTEST_SKIP() << "no bf16 dot here";
  std::mt19937 rng(7);
  for (const std::size_t d : {64U, 80U, 128U}) {
    const Cache cache(table(), type(), kPosition + kTokens, d, rng);
    const Floats q = random_floats(kTokens * kHeads * d, rng, 0.3F);
    const Floats out = attend(table(), cache, q, kTokens, kHeads, kPosition, true);
    const std::vector<double> expected = reference(cache, q, kTokens, kHeads, kPosition);
    double squares = 0;
    for (std::size_t i = 0; i < out.size(); ++i) {
      ASSERT_NEAR(out[i], expected[i], 0.03) << "dimension " << i;
      squares += (out[i] - expected[i]) * (out[i] - expected[i]);
    }
    EXPECT_LT(std::sqrt(squares / static_cast<double>(out.size())), 0.004);
  }
}

TEST_P(Attention, InBf16GivesTheSameBitsForOneTokenAsForMany) {
  if (table().attention_segment_bf16 == nullptr) GTEST_SKIP() << "no bf16 dot here";
  std::mt19937 rng(8);
  const std::size_t d = 80;
  const std::size_t heads = 7;
  const std::size_t tokens = 70;
  const std::size_t position = 590;
  Cache cache(table(), type(), position + tokens, d, rng);
  const Floats q = random_floats(tokens * heads * d, rng, 0.3F);
  const Floats all = attend(table(), cache, q, tokens, heads, position, true);
  for (std::size_t t = tokens; t-- > 0;) {
    // What a later token has stored does not matter either.
    if (t + 1 < tokens) {
      std::fill_n(cache.v.begin() + static_cast<long>((position + t + 1) * d), d,
                  std::numeric_limits<float>::infinity());
      cache.write(table(), position + t + 1);
    }
    const Floats one(q.begin() + static_cast<long>(t * heads * d),
                     q.begin() + static_cast<long>((t + 1) * heads * d));
    const Floats alone = attend(table(), cache, one, 1, heads, position + t, true);
    ASSERT_EQ(0, std::memcmp(alone.data(), all.data() + t * heads * d, alone.size() * sizeof(float)))
        << "token " << t;
  }
}

TEST_P(Attention, GivesTheSameBitsForOneTokenAsForMany) {
  std::mt19937 rng(8);
  const std::size_t d = 64;
  const std::size_t heads = 7;
  const std::size_t tokens = 70;
  const std::size_t position = 590;
  const Cache cache(table(), type(), position + tokens, d, rng);
  const Floats q = random_floats(tokens * heads * d, rng, 0.3F);
  const Floats all = attend(table(), cache, q, tokens, heads, position);
  for (std::size_t t = 0; t < tokens; ++t) {
    const Floats one(q.begin() + static_cast<long>(t * heads * d),
                     q.begin() + static_cast<long>((t + 1) * heads * d));
    const Floats alone = attend(table(), cache, one, 1, heads, position + t);
    ASSERT_EQ(0, std::memcmp(alone.data(), all.data() + t * heads * d, alone.size() * sizeof(float)))
        << "token " << t;
  }
}

TEST_P(Attention, GivesTheSameBitsForFewRowsAsForManyHoweverManyHeadsShareThem) {
  const std::size_t tokens = 20;
  const std::size_t position = 565;
  for (const std::size_t d : {64U, 80U}) {
    std::mt19937 rng(8);
    const Cache cache(table(), type(), position + tokens, d, rng);
    for (const std::size_t heads : {1U, 2U, 3U, 7U, 8U, 11U, 17U}) {
      const Floats q = random_floats(tokens * heads * d, rng, 0.3F);
      const Floats all = attend(table(), cache, q, tokens, heads, position);
      for (std::size_t t = 0; t + 3 <= tokens; t += 3) {
        const std::size_t n = 1 + t / 3 % 3;  // tokens at once
        const Floats some(q.begin() + static_cast<long>(t * heads * d),
                          q.begin() + static_cast<long>((t + n) * heads * d));
        const Floats few = attend(table(), cache, some, n, heads, position + t);
        ASSERT_EQ(0, std::memcmp(few.data(), all.data() + t * heads * d, few.size() * sizeof(float)))
            << heads << " heads of " << d << ", " << n << " tokens from " << t;
      }
    }
  }
}

TEST_P(Attention, GivesTheScalarKernelsBits) {
  for (const std::size_t d : {64U, 80U}) {
    std::mt19937 rng(9);
    std::mt19937 same_rng(9);
    const Cache mine(table(), type(), 130, d, rng);
    const Cache reference(scalar(), type(), 130, d, same_rng);
    EXPECT_EQ(mine.memory, reference.memory);
    const Floats q = random_floats(std::size_t{9} * 4 * d, rng);
    const Floats a = attend(table(), mine, q, 9, 4, 121);
    const Floats b = attend(scalar(), mine, q, 9, 4, 121);
    EXPECT_EQ(0, std::memcmp(a.data(), b.data(), a.size() * sizeof(float)));
    const Floats windowed = attend(table(), mine, q, 9, 4, 121, false, 33, 3.0F);
    const Floats same = attend(scalar(), mine, q, 9, 4, 121, false, 33, 3.0F);
    EXPECT_EQ(0, std::memcmp(windowed.data(), same.data(), same.size() * sizeof(float)));
  }
}

TEST_P(Attention, StoresTiesAndExtremesAsTheScalarKernelsDo) {
  constexpr std::size_t kDim = 16;
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const std::vector<Floats> rows = {
      Floats(kDim, 0.0F),
      {-0.0F, 1e-45F, -1e-45F, 1e-38F, 3e-38F, 1e-31F, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9e-31F},
      {1, 2, 0.5F, 1.5F, 2.5F, -0.5F, -1.5F, 63.5F, 62.5F, 126.5F, 125.5F, -126.5F, -125.5F, 127, -127, 0},
      {0x1.01p0F, 0x1.03p0F, 0x1.010001p0F, 0x1.00ffffp0F, -0x1.01p0F, -0x1.03p0F, 0x1.ffp9F, 0x1.fep9F,
       65504, 65520, -65520, 1e20F, 0, 1, 2, 3},
      {kInfinity, -kInfinity, std::numeric_limits<float>::quiet_NaN(), 3.4e38F, -3.4e38F, 1e30F, 1, 2, 0, 0,
       0, 0, 0, 0, 0, 0}};
  for (const Floats& x : rows) {
    std::vector<std::byte> mine(kv_head_layout(type(), kDim, kDim).bytes);
    auto reference = mine;
    table().store_kv(type(), x.data(), x.data(), kDim, kDim, 5, mine.data());
    scalar().store_kv(type(), x.data(), x.data(), kDim, kDim, 5, reference.data());
    EXPECT_EQ(mine, reference) << "row of " << x[1];
  }
}

TEST_P(Attention, WhatALaterTokenStoresDoesNotReachAnEarlierRow) {
  std::mt19937 rng(10);
  constexpr std::size_t kDim = 64;
  Cache cache(table(), type(), 80, kDim, rng);
  const Floats q = random_floats(std::size_t{4} * kDim, rng);
  const Floats before = attend(table(), cache, q, 4, 1, 70);
  for (const float value : {std::numeric_limits<float>::infinity(), -1e38F, 0.0F}) {
    std::fill_n(cache.k.begin() + 73 * kDim, kDim, value);
    std::fill_n(cache.v.begin() + 73 * kDim, kDim, value);
    cache.write(table(), 73);
    const Floats after = attend(table(), cache, q, 4, 1, 70);  // rows of tokens 70 to 73 share tiles
    EXPECT_EQ(0, std::memcmp(before.data(), after.data(), std::size_t{3} * kDim * sizeof(float)));
  }
}

TEST(KvTypes, OfQ8TheErrorIsAtMostHalfAStepOfTheTokensOwnLargest) {
  std::mt19937 rng(11);
  constexpr std::size_t kDim = 128;
  const Floats x = random_floats(kDim, rng, 3.0F);
  const Floats y = rounded(KvType::kQ8, x.data(), kDim);
  const float largest = std::abs(
      *std::max_element(x.begin(), x.end(), [](float a, float b) { return std::abs(a) < std::abs(b); }));
  for (std::size_t i = 0; i < kDim; ++i) EXPECT_NEAR(x[i], y[i], largest / 127 * 0.5001F);
}

}  // namespace
}  // namespace kvasir::kernels
