// Every instruction set's kernels against a plain reference in doubles, and against each other bit for bit.

#include "kernels/kernels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <random>
#include <vector>

#include "kernels/half.h"

namespace kvasir::kernels {
namespace {

using Floats = std::vector<float>;

Floats random_floats(std::size_t n, std::mt19937& rng, float sigma = 1.0F) {
  std::normal_distribution<float> normal(0.0F, sigma);
  Floats x(n);
  for (float& v : x) v = normal(rng);
  return x;
}

struct Quantized {
  std::vector<std::int8_t> q, low;
  Floats scale, scaled_sum;
  std::vector<std::int32_t> shift, shift32;
  QuantizedRows rows;
  double value(std::size_t i) const { return low.empty() ? q[i] : 128.0 * q[i] + low[i]; }
  Quantized(const KernelTable& table, const Floats& x, std::size_t tokens, std::size_t k,
            bool precise = false)
      : q(tokens * k),
        low(precise ? tokens * k : 0),
        scale(tokens * k / 32),
        scaled_sum(tokens * k / 32),
        shift(tokens * k / 16),
        shift32(tokens * k / 32) {
    rows = {q.data(),
            precise ? low.data() : nullptr,
            scale.data(),
            scaled_sum.data(),
            shift.data(),
            shift32.data(),
            k};
    for (std::size_t t = 0; t < tokens; ++t) table.quantize(x.data() + t * k, rows, t);
  }
};

// A packed type with one of the scales that it comes with.
struct Layout {
  PackedType type;
  ScaleType scale = ScaleType::kF16;
  std::size_t scale_k = 32;
};

std::ostream& operator<<(std::ostream& out, const Layout& l) {
  return out << "type " << static_cast<int>(l.type) << " scale " << static_cast<int>(l.scale) << " for "
             << l.scale_k;
}

using P = PackedType;
using S = ScaleType;
constexpr Layout kAllLayouts[] = {
    {P::kU4Sym},
    {P::kU5Sym},
    {P::kU8Sym},
    {P::kU2K},
    {P::kU3K},
    {P::kU4K},
    {P::kU5K},
    {P::kU6K},
    {P::kU2Sym, S::kF16, 256},
    {P::kF32},
    {P::kF16},
    {P::kBF16},
    {P::kU2Affine},
    {P::kU3Affine},
    {P::kU4Affine},
    {P::kU5Affine},
    {P::kU6Affine},
    {P::kU8Affine},
    {P::kU4Affine, S::kBF16, 64},
    {P::kU4Affine, S::kF32, 128},
    {P::kU8Affine, S::kBF16, 128},
    {P::kTrit, S::kF16, 256},
    {P::kOct8, S::kF16Odd4, 32},
    {P::kOct9x16, S::kF16Odd4, 16},
    {P::kOct10x16, S::kF16Odd4, 16},
    {P::kOct11, S::kF16Odd4, 32},
    {P::kOct11x16, S::kF16Odd4, 16},
    {P::kQuad8, S::kF16Odd4, 32},
    {P::kQuad9, S::kF16Odd4, 32},
    {P::kT4, S::kF16, 32},
    {P::kT4, S::kE8M0, 32},
    {P::kT4, S::kF16I8, 32},
    {P::kT4x16, S::kE4M3, 16},
    {P::kF8, S::kF32, 128},
    {P::kF8, S::kF32, 96},
    {P::kF8, S::kE8M0, 32},
    {P::kF8, S::kBF16, 32},
};

class RandomBytes {
 public:
  explicit RandomBytes(std::mt19937& rng) : rng_(rng) {}
  std::byte byte(int mask = 255) {
    return static_cast<std::byte>(std::uniform_int_distribution(0, 255)(rng_) & mask);
  }
  float small() { return std::uniform_real_distribution<float>(-0.02F, 0.02F)(rng_); }
  // One scale of about 0.02 at most, stored as the type has it; returns behind it.
  std::byte* scale(ScaleType type, std::byte* p) {
    const float v = small();
    const std::uint16_t half = type == S::kBF16 ? f32_to_bf16(v) : f32_to_f16(v);
    if (type == S::kF32)
      std::memcpy(p, &v, sizeof(v));
    else if (type == S::kF16 || type == S::kBF16)
      std::memcpy(p, &half, sizeof(half));
    else if (type == S::kE8M0)
      *p = static_cast<std::byte>(110 + std::to_integer<int>(byte(7)));
    else
      *p = byte(0x9F);  // e4m3 up to 2^-3, of either sign
    return p + bytes_of(type);
  }

 private:
  std::mt19937& rng_;
};

void fill_scales(const PackedMatrix& m, std::byte* p, RandomBytes& random) {
  const bool affine = is_affine(m.type);
  if (!is_quantized(m.type) && m.type != P::kF8) return;
  if (has_super_blocks(m.type) || m.scale_type == S::kF16I8 || m.scale_type == S::kF16Odd4) {
    const std::size_t bytes = m.scale_bytes_before(kSuperK);
    for (std::size_t u = 0; u < m.columns / kSuperK; ++u, p += bytes) {
      for (std::size_t i = 0; i < bytes; ++i) p[i] = random.byte(63);
      for (std::size_t i = 0; i < (affine ? 32U : 16U); ++i) random.scale(S::kF16, p + 2 * i);
    }
    return;
  }
  // The last scale of kF8 may cover less.
  for (std::size_t i = 0; i < (m.columns + m.scale_k - 1) / m.scale_k * kGroupRows * (affine ? 2 : 1); ++i) {
    p = random.scale(m.scale_type, p);
  }
}

// Entries for every index of the type, the extreme ones first.
const Grid* random_grid(PackedType type) {
  static std::map<PackedType, Grid> grids;  // outlive every matrix
  const auto known = grids.find(type);
  if (known != grids.end()) return &known->second;
  std::mt19937 rng(static_cast<unsigned>(type));
  // Entries that are moved by one have room for it.
  const int most = moves_entries(type) ? 126 : 127;
  std::uniform_int_distribution<int> entry(-most, most);
  std::vector<std::int8_t> bytes((std::size_t{1} << index_bits(type)) * entry_k(type));
  for (std::int8_t& b : bytes) b = static_cast<std::int8_t>(entry(rng));
  std::fill_n(bytes.begin(), entry_k(type), static_cast<std::int8_t>(-most));
  std::fill_n(bytes.end() - static_cast<long>(entry_k(type)), entry_k(type), static_cast<std::int8_t>(most));
  return &grids.emplace(type, Grid(std::move(bytes))).first->second;
}

// A matrix with random quants and random small scales; every bit pattern of the layout is legal.
PackedMatrix random_matrix(const Layout& layout, std::size_t rows, std::size_t columns, std::mt19937& rng) {
  PackedMatrix m;
  m.type = layout.type;
  m.rows = rows;
  m.columns = columns;
  m.scale_type = layout.scale;
  m.scale_k = layout.scale_k;
  RandomBytes random(rng);
  if (has_table(m.type)) {
    m.scale_factor = 0.125F;
    for (std::int8_t& code : m.codebook) code = static_cast<std::int8_t>(random.byte());
    m.codebook[0] = -127;
    m.codebook[1] = 127;
  }
  if (has_grid(m.type)) {
    m.scale_factor = 0.125F;
    m.grid = random_grid(m.type);
  }
  m.data = AlignedBuffer(m.groups() * m.group_bytes());
  for (std::size_t g = 0; g < m.groups(); ++g) {
    std::byte* p = m.group(g);
    if (is_quantized(m.type) || m.type == P::kF8) {
      for (std::size_t i = 0; i < m.scales_offset(); ++i) p[i] = random.byte();
      fill_scales(m, p + m.scales_offset(), random);
      continue;
    }
    for (std::size_t i = 0; i < columns * kGroupRows; ++i) {
      p = random.scale(m.type == P::kF32 ? S::kF32 : m.type == P::kF16 ? S::kF16 : S::kBF16, p);
    }
  }
  return m;
}

Floats multiply(const KernelTable& table, const PackedMatrix& w, const Floats& x, std::size_t tokens,
                const float* bias, bool accumulate, bool precise = false) {
  Floats y(tokens * w.rows, accumulate ? 0.25F : -99.0F);
  const MatmulOutput out{y.data(), w.rows, bias, accumulate};
  if (!is_quantized(w.type)) {
    table.matmul_float(w, 0, w.groups(), x.data(), w.columns, tokens, out);
    return y;
  }
  const Quantized q(table, x, tokens, w.columns, precise);
  AlignedBuffer scratch(matmul_scratch_bytes(w.columns));
  table.matmul(w, 0, w.groups(), q.rows, tokens, out, scratch.data());
  return y;
}

class Kernels : public testing::TestWithParam<const KernelTable*> {};
INSTANTIATE_TEST_SUITE_P(Isa, Kernels,
                         testing::ValuesIn(available_kernels().begin(), available_kernels().end()),
                         [](const auto& isa) { return std::string(isa.param->name); });

TEST_P(Kernels, MatmulIsTheProductOfDequantizedWeightsAndQuantizedActivations) {
  std::mt19937 rng(1);
  for (const Layout& type : kAllLayouts) {
    const std::size_t k = 512;
    const PackedMatrix w = random_matrix(type, 37, k, rng);
    const std::size_t tokens = 13;
    const Floats x = random_floats(tokens * k, rng);
    const Floats bias = random_floats(w.rows, rng);
    for (const bool precise : {false, true}) {
      const Floats y = multiply(*GetParam(), w, x, tokens, bias.data(), true, precise);
      const Quantized q(*GetParam(), x, tokens, k, precise);
      Floats row(k);
      for (std::size_t r = 0; r < w.rows; ++r) {
        dequantize_row(w, r, row.data());
        for (std::size_t t = 0; t < tokens; ++t) {
          double sum = 0;
          double magnitude = 0;
          for (std::size_t i = 0; i < k; ++i) {
            const double a = is_quantized(type.type) ? q.value(t * k + i) * q.scale[t * (k / 32) + i / 32]
                                                     : static_cast<double>(x[t * k + i]);
            sum += a * row[i];
            magnitude += std::abs(a * row[i]);
          }
          const double expected = sum + bias[r] + 0.25;
          // Affine types subtract two sums that can be an order larger than their difference.
          const double tolerance = 64 * 6e-8 * (magnitude + 30 * std::abs(sum) + 10);
          ASSERT_NEAR(y[t * w.rows + r], expected, tolerance) << type << " row " << r << " token " << t;
        }
      }
    }
  }
}

TEST_P(Kernels, MatmulGivesTheSameBitsForOneTokenAsForMany) {
  std::mt19937 rng(2);
  for (const Layout& type : kAllLayouts) {
    const std::size_t k = 768;
    const PackedMatrix w = random_matrix(type, 83, k, rng);
    const std::size_t most = kPartTokens + 5;
    const Floats x = random_floats(most * k, rng);
    for (const bool precise : {false, true}) {
      const Floats all = multiply(*GetParam(), w, x, most, nullptr, false, precise);
      for (const std::size_t tokens : {1U, 2U, 3U, 4U, 5U, 7U, 8U, 9U, 12U, 17U, 32U}) {
        const Floats some =
            multiply(*GetParam(), w, Floats(x.begin(), x.begin() + static_cast<long>(tokens * k)), tokens,
                     nullptr, false, precise);
        ASSERT_EQ(0, std::memcmp(some.data(), all.data(), some.size() * sizeof(float)))
            << type << " tokens " << tokens;
      }
    }
  }
}

TEST_P(Kernels, MatmulGivesTheScalarKernelsBits) {
  std::mt19937 rng(3);
  for (const Layout& type : kAllLayouts) {
    const PackedMatrix w = random_matrix(type, 50, 256, rng);
    const Floats x = random_floats(20 * 256, rng);
    for (const bool precise : {false, true}) {
      const Floats mine = multiply(*GetParam(), w, x, 20, nullptr, false, precise);
      const Floats reference = multiply(*available_kernels().front(), w, x, 20, nullptr, false, precise);
      ASSERT_EQ(0, std::memcmp(mine.data(), reference.data(), mine.size() * sizeof(float))) << type;
    }
  }
}

TEST_P(Kernels, ExtremeBytesDoNotSaturate) {
  // The largest products: every u and every q at its limit.
  for (const Layout& type :
       {Layout{P::kU8Sym}, Layout{P::kU6K}, Layout{P::kU5Affine}, Layout{P::kU8Affine},
        Layout{P::kT4, S::kE8M0}, Layout{P::kOct8, S::kF16Odd4}, Layout{P::kQuad9, S::kF16Odd4},
        Layout{P::kOct11, S::kF16Odd4}, Layout{P::kTrit, S::kF16, 256}}) {
    std::mt19937 rng(4);
    PackedMatrix w = random_matrix(type, 16, 256, rng);
    for (const int fill : {0x00, 0xFF}) {
      std::memset(w.group(0), fill, w.scales_offset());
      Floats x(10 * 256, 1.0F);
      for (std::size_t i = 0; i < x.size(); i += 3) x[i] = -1.0F;
      for (const bool precise : {false, true}) {
        const Floats mine = multiply(*GetParam(), w, x, 10, nullptr, false, precise);
        const Floats reference = multiply(*available_kernels().front(), w, x, 10, nullptr, false, precise);
        ASSERT_EQ(0, std::memcmp(mine.data(), reference.data(), mine.size() * sizeof(float)));
      }
    }
  }
}

TEST_P(Kernels, QuantizationErrorIsAtMostHalfAStep) {
  std::mt19937 rng(5);
  const Floats x = random_floats(256, rng, 3.0F);
  for (const bool precise : {false, true}) {
    const Quantized q(*GetParam(), x, 1, 256, precise);
    for (std::size_t i = 0; i < x.size(); ++i) {
      EXPECT_NEAR(x[i], q.value(i) * q.scale[i / 32], q.scale[i / 32] * 0.502F);
    }
  }
}

TEST_P(Kernels, QuantizingZerosGivesZeros) {
  const Quantized q(*GetParam(), Floats(64, 0.0F), 1, 64);
  for (const std::int8_t v : q.q) EXPECT_EQ(v, 0);
  EXPECT_EQ(q.scale[0], 0.0F);
}

TEST_P(Kernels, RowKernelsMatchTheirFormulas) {
  std::mt19937 rng(6);
  const std::size_t n = 96;
  const Floats x = random_floats(n, rng, 4.0F);
  const Floats w = random_floats(n, rng);
  Floats y(n);
  GetParam()->rms_norm(x.data(), w.data(), 1e-5F, n, y.data());
  double sum = 0;
  for (const float v : x) sum += static_cast<double>(v) * v;
  for (std::size_t i = 0; i < n; ++i) {
    const double expected = x[i] / std::sqrt(sum / n + 1e-5) * w[i];
    EXPECT_NEAR(y[i], expected, 1e-6 * (1 + std::abs(expected)));
  }
  GetParam()->silu_mul(x.data(), w.data(), n, y.data());
  for (std::size_t i = 0; i < n; ++i) {
    const double expected = x[i] / (1 + std::exp(-static_cast<double>(x[i]))) * w[i];
    EXPECT_NEAR(y[i], expected, 1e-6 * (1 + std::abs(expected)));
  }
  GetParam()->gelu_mul(x.data(), w.data(), n, y.data());
  for (std::size_t i = 0; i < n; ++i) {
    const double g = x[i];
    const double expected = 0.5 * g * (1 + std::tanh(0.7978845608028654 * (g + 0.044715 * g * g * g))) * w[i];
    EXPECT_NEAR(y[i], expected, 2e-6 * (1 + std::abs(expected)));
  }
  GetParam()->clamped_swiglu(x.data(), w.data(), 1.702F, 2.0F, n, y.data());
  for (std::size_t i = 0; i < n; ++i) {
    const double g = std::min<double>(x[i], 2);
    const double expected = g / (1 + std::exp(-1.702 * g)) * (std::clamp<double>(w[i], -2, 2) + 1);
    EXPECT_NEAR(y[i], expected, 2e-6 * (1 + std::abs(expected)));
  }
  y = x;
  GetParam()->add_scaled(y.data(), w.data(), 0.3F, n);
  for (std::size_t i = 0; i < n; ++i) EXPECT_FLOAT_EQ(y[i], std::fma(w[i], 0.3F, x[i]));
}

TEST_P(Kernels, SoftCapIsTheTanhOfAnyNumberOfValues) {
  std::mt19937 rng(6);
  for (const std::size_t n : {1U, 15U, 16U, 37U}) {
    Floats x = random_floats(n, rng, 20.0F);
    x.front() = 1e30F;
    if (n > 1) x[1] = -1e30F;
    Floats y = x;
    y.push_back(7.0F);
    GetParam()->soft_cap(y.data(), 30.0F, n);
    for (std::size_t i = 0; i < n; ++i)
      EXPECT_NEAR(y[i], 30 * std::tanh(static_cast<double>(x[i]) / 30), 30 * 3e-7);
    EXPECT_EQ(y[n], 7.0F) << "a value behind the row was touched";
  }
}

TEST_P(Kernels, EveryOtherKernelGivesTheScalarKernelsBits) {
  const KernelTable& mine = *GetParam();
  const KernelTable& reference = *available_kernels().front();
  std::mt19937 rng(9);
  const std::size_t n = 192;
  const Floats x = random_floats(n, rng, 5.0F);
  const Floats w = random_floats(n, rng);
  Floats a(n);
  Floats b(n);
  const auto same = [&] { return std::memcmp(a.data(), b.data(), n * sizeof(float)) == 0; };
  mine.rms_norm(x.data(), w.data(), 1e-6F, n, a.data());
  reference.rms_norm(x.data(), w.data(), 1e-6F, n, b.data());
  EXPECT_TRUE(same());
  mine.silu_mul(x.data(), w.data(), n, a.data());
  reference.silu_mul(x.data(), w.data(), n, b.data());
  EXPECT_TRUE(same());
  mine.gelu_mul(x.data(), w.data(), n, a.data());
  reference.gelu_mul(x.data(), w.data(), n, b.data());
  EXPECT_TRUE(same());
  mine.clamped_swiglu(x.data(), w.data(), 1.702F, 7.0F, n, a.data());
  reference.clamped_swiglu(x.data(), w.data(), 1.702F, 7.0F, n, b.data());
  EXPECT_TRUE(same());
  a = b = x;
  mine.add_scaled(a.data(), w.data(), 0.3F, n);
  reference.add_scaled(b.data(), w.data(), 0.3F, n);
  EXPECT_TRUE(same());
  mine.soft_cap(a.data(), 3.0F, n - 5);
  reference.soft_cap(b.data(), 3.0F, n - 5);
  EXPECT_TRUE(same());
  for (const auto rope : {&KernelTable::rope_neox, &KernelTable::rope_interleaved}) {
    a = b = x;
    (mine.*rope)(a.data(), w.data(), w.data() + n / 2, n);
    (reference.*rope)(b.data(), w.data(), w.data() + n / 2, n);
    EXPECT_TRUE(same());
  }
}

TEST(Half, RoundTripsEveryF16) {
  for (std::uint32_t h = 0; h < 0x10000; ++h) {
    const float f = f16_to_f32(static_cast<std::uint16_t>(h));
    if (std::isnan(f)) continue;
    ASSERT_EQ(f32_to_f16(f), h);
  }
}

TEST(Half, F16RoundsToNearestEven) {
  EXPECT_EQ(f32_to_f16(65519.0F), 0x7BFF);
  EXPECT_EQ(f32_to_f16(65520.0F), 0x7C00);
  EXPECT_EQ(f32_to_f16(1.0F + 0x1p-11F), 0x3C00);
  EXPECT_EQ(f32_to_f16(1.0F + 0x3p-11F), 0x3C02);
  EXPECT_EQ(f32_to_f16(0x1p-25F), 0x0000);
  EXPECT_EQ(f32_to_f16(0x1.8p-25F), 0x0001);
}

TEST(Half, Bf16RoundsToNearestEven) {
  EXPECT_EQ(f32_to_bf16(1.0F), 0x3F80);
  EXPECT_EQ(f32_to_bf16(0x1.01p0F), 0x3F80);      // a tie, to even
  EXPECT_EQ(f32_to_bf16(0x1.03p0F), 0x3F82);      // a tie, to even
  EXPECT_EQ(f32_to_bf16(0x1.010002p0F), 0x3F81);  // just above one
  EXPECT_EQ(f32_to_bf16(-0x1.feffp0F), 0xBFFF);
  EXPECT_EQ(f32_to_bf16(0x1.ffp0F), 0x4000);  // carries into the exponent
}

}  // namespace
}  // namespace kvasir::kernels
