#include "weights/low_bits.h"

#include <bit>
#include <utility>
#include <vector>

#include "weights/blocks.h"
#include "weights/codes.h"
#include "weights/iq_grids.h"

namespace kvasir::weights {
namespace {

using kernels::PackedMatrix;
using kernels::PackedType;
using kernels::ScaleType;

// ---- Groups of values that a table knows, with signs ----

// 8 values from the table's row `index` of 2-bit places, number j of a block. The codes of negative values
// come after those of the positive ones.
template <std::size_t N>
void take_8(const std::array<std::uint16_t, N>& rows, unsigned index, unsigned negative, std::size_t j,
            LowBits& out) {
  out.index[j] = static_cast<std::uint16_t>(index);
  out.negative |= negative << (8 * j);
  for (unsigned i = 0; i < 8; ++i) {
    const unsigned place = rows[index] >> (2 * i) & 3U;
    out.u[8 * j + i] = static_cast<std::uint8_t>(place + ((negative >> i & 1U) != 0 ? 3 : 0));
  }
}
// 4 values from a row of 3-bit places, their signs in the lowest bits.
template <std::size_t N>
void take_4(const std::array<std::uint16_t, N>& rows, unsigned index, unsigned negative, std::size_t j,
            LowBits& out) {
  out.index[j] = static_cast<std::uint16_t>(index);
  out.negative |= (negative & 15U) << (4 * j);
  for (unsigned i = 0; i < 4; ++i) {
    const unsigned place = rows[index] >> (3 * i) & 7U;
    out.u[4 * j + i] = static_cast<std::uint8_t>(place + ((negative >> i & 1U) != 0 ? 8 : 0));
  }
}
// Seven stored signs; an even number of the eight is negative.
unsigned eight_signs(unsigned seven) {
  return seven | (static_cast<unsigned>(std::popcount(seven)) & 1U) << 7;
}
std::int8_t odd(unsigned n) {
  return static_cast<std::int8_t>(2 * n + 1);
}

void iq2_xxs(const std::byte* p, std::size_t b, LowBits& out) {
  const std::byte* q = p + 2 + 8 * b;
  const auto rest = read_at<std::uint32_t>(q, 4);
  for (std::size_t j = 0; j < 4; ++j) {
    take_8(kIq2XxsGrid, byte_of(q, j), eight_signs(rest >> (7 * j) & 127U), j, out);
  }
  out.sub[0] = odd(rest >> 28);
}

void iq2_xs(const std::byte* p, std::size_t b, LowBits& out) {
  for (std::size_t j = 0; j < 4; ++j) {
    const unsigned q = read_at<std::uint16_t>(p, 2 + 8 * b + 2 * j);
    take_8(kIq2XsGrid, q & 511U, eight_signs(q >> 9), j, out);
  }
  const unsigned scales = byte_of(p, 66 + b);
  out.sub[0] = odd(scales & 15U);
  out.sub[1] = odd(scales >> 4);
}

void iq2_s(const std::byte* p, std::size_t b, LowBits& out) {
  const unsigned high = byte_of(p, 66 + b);
  for (std::size_t j = 0; j < 4; ++j) {
    const std::size_t at = 4 * b + j;
    take_8(kIq2SGrid, byte_of(p, 2 + at) | (high >> (2 * j) & 3U) << 8, byte_of(p, 34 + at), j, out);
  }
  const unsigned scales = byte_of(p, 74 + b);
  out.sub[0] = odd(scales & 15U);
  out.sub[1] = odd(scales >> 4);
}

void iq3_xxs(const std::byte* p, std::size_t b, LowBits& out) {
  const auto rest = read_at<std::uint32_t>(p, 66 + 4 * b);
  for (std::size_t j = 0; j < 8; ++j) {
    const unsigned signs = eight_signs(rest >> (7 * (j / 2)) & 127U);
    take_4(kIq3XxsGrid, byte_of(p, 2 + 8 * b + j), signs >> (4 * (j % 2)), j, out);
  }
  out.sub[0] = odd(rest >> 28);
}

void iq3_s(const std::byte* p, std::size_t b, LowBits& out) {
  const unsigned high = byte_of(p, 66 + b);
  for (std::size_t j = 0; j < 8; ++j) {
    const unsigned signs = byte_of(p, 74 + 4 * b + j / 2);
    take_4(kIq3SGrid, byte_of(p, 2 + 8 * b + j) | (high >> j & 1U) << 8, signs >> (4 * (j % 2)), j, out);
  }
  out.sub[0] = odd(byte_of(p, 106 + b / 2) >> (4 * (b % 2)) & 15U);
}

// IQ1's values are -1, 0 and 1, all moved by an eighth up or down.
void iq1_s(const std::byte* p, std::size_t b, LowBits& out) {
  const unsigned high = read_at<std::uint16_t>(p, 34 + 2 * b);
  const unsigned down = (high & 0x8000U) != 0 ? 255U : 0U;
  for (std::size_t j = 0; j < 4; ++j) {
    take_8(kIq1Grid, byte_of(p, 2 + 4 * b + j) | (high >> (3 * j) & 7U) << 8, down, j, out);
  }
  out.sub[0] = odd(high >> 12 & 7U);
}

void iq1_m(const std::byte* p, std::size_t b, LowBits& out) {
  for (std::size_t j = 0; j < 4; ++j) {
    const std::size_t at = 4 * b + j;
    const unsigned high = byte_of(p, 32 + at / 2) >> (4 * (at % 2)) & 15U;
    take_8(kIq1Grid, byte_of(p, at) | (high & 7U) << 8, (high & 8U) != 0 ? 255U : 0U, j, out);
  }
  unsigned d = 0;
  for (std::size_t i = 0; i < 4; ++i) d |= (read_at<std::uint16_t>(p, 48 + 2 * i) >> 12U) << (4 * i);
  out.d = static_cast<std::uint16_t>(d);
  for (std::size_t h = 0; h < 2; ++h) {
    const std::size_t unit = 2 * b + h;
    out.sub[h] = odd(read_at<std::uint16_t>(p, 48 + unit / 4 * 2) >> (3 * (unit % 4)) & 7U);
  }
}

// ---- Nibbles that a list knows ----

void iq4_xs(const std::byte* p, std::size_t b, LowBits& out) {
  unpack_nibbles(p + 8 + 16 * b, out.u);
  const unsigned low = byte_of(p, 4 + b / 2) >> (4 * (b % 2)) & 15U;
  const unsigned high = read_at<std::uint16_t>(p, 2) >> (2 * b) & 3U;
  out.sub[0] = static_cast<std::int8_t>(static_cast<int>(low | high << 4) - 32);
}

// A block of 64 has four scales; those of 0x7F are zero, and the highest bit says nothing.
void nvfp4(const std::byte* p, std::size_t b, LowBits& out) {
  for (std::size_t h = 0; h < 2; ++h) {
    const std::size_t part = 2 * b + h;
    const unsigned scale = byte_of(p, part) & 0x7FU;
    out.scale[h] = static_cast<std::uint8_t>(scale == 0x7FU ? 0 : scale);
    for (std::size_t i = 0; i < 8; ++i) {
      const unsigned pair = byte_of(p, 4 + 8 * part + i);
      out.u[16 * h + i] = static_cast<std::uint8_t>(pair & 15U);
      out.u[16 * h + 8 + i] = static_cast<std::uint8_t>(pair >> 4);
    }
  }
}

// ---- Plain codes ----

// 128 values share 32 bytes, two bits each.
void unpack_pairs(const std::byte* q, std::size_t b, std::uint8_t* u) {
  for (std::size_t i = 0; i < 32; ++i) {
    u[i] = static_cast<std::uint8_t>(byte_of(q, b / 4 * 32 + i) >> (2 * (b % 4)) & 3U);
  }
}

void q2_k(const std::byte* p, std::size_t b, LowBits& out) {
  unpack_pairs(p + 16, b, out.u);
  out.d = read_at<std::uint16_t>(p, 80);
  out.dmin = read_at<std::uint16_t>(p, 82);
  for (std::size_t h = 0; h < 2; ++h) {
    const unsigned both = byte_of(p, 2 * b + h);
    out.sub[h] = static_cast<std::int8_t>(both & 15U);
    out.min[h] = static_cast<std::uint8_t>(both >> 4);
  }
}

void q3_k(const std::byte* p, std::size_t b, LowBits& out) {
  unpack_pairs(p + 32, b, out.u);
  for (std::size_t i = 0; i < 32; ++i) {
    out.u[i] = static_cast<std::uint8_t>(out.u[i] | (byte_of(p, i) >> b & 1U) << 2);
  }
  out.d = read_at<std::uint16_t>(p, 108);
  for (std::size_t h = 0; h < 2; ++h) {
    const std::size_t unit = 2 * b + h;
    const unsigned low = byte_of(p, 96 + unit % 8) >> (unit < 8 ? 0 : 4) & 15U;
    const unsigned high = byte_of(p, 104 + unit % 4) >> (2 * (unit / 4)) & 3U;
    out.sub[h] = static_cast<std::int8_t>(static_cast<int>(low | high << 4) - 32);
  }
}

// Five digits of base 3 a byte, as a fraction of 256: multiplying brings the next one to the top.
std::uint8_t digit_of(unsigned byte, std::size_t place) {
  constexpr unsigned kPowers[] = {1, 3, 9, 27, 81};
  return static_cast<std::uint8_t>((byte * kPowers[place] & 255U) * 3 >> 8);
}

void tq1_0(const std::byte* p, std::size_t b, LowBits& out) {
  for (std::size_t i = 0; i < 32; ++i) {
    const std::size_t e = 32 * b + i;
    if (e < 160)
      out.u[i] = digit_of(byte_of(p, e % 32), e / 32);
    else if (e < 240)
      out.u[i] = digit_of(byte_of(p, 32 + e % 16), (e - 160) / 16);
    else
      out.u[i] = digit_of(byte_of(p, 48 + e % 4), (e - 240) / 4);
  }
  out.d = read_at<std::uint16_t>(p, 52);
}

void tq2_0(const std::byte* p, std::size_t b, LowBits& out) {
  unpack_pairs(p, b, out.u);
  out.d = read_at<std::uint16_t>(p, 64);
}

// ---- What the packed forms look up ----

// The entries of a table whose rows are places of `bits` bits in `values`, each `less` less.
template <std::size_t N>
kernels::Grid entries_of(const std::array<std::uint16_t, N>& rows, unsigned bits, const Codebook& values,
                         int less = 0) {
  std::vector<std::int8_t> entries;
  for (const std::uint16_t row : rows) {
    for (unsigned i = 0; i < (bits == 2 ? 8U : 4U); ++i) {
      const unsigned place = row >> (bits * i) & ((1U << bits) - 1);
      entries.push_back(static_cast<std::int8_t>(values.values[place] - less));
    }
  }
  return kernels::Grid(std::move(entries));
}

constexpr Codebook kIq2 = {{8, 25, 43, -8, -25, -43}, 0.125F};
constexpr Codebook kIq1 = {{-7, 1, 9, -9, -1, 7}, 0.125F};
constexpr Codebook kIq3Xxs = {{4, 12, 20, 28, 36, 44, 52, 62, -4, -12, -20, -28, -36, -44, -52, -62}, 0.25F};
constexpr Codebook kIq3S = {{1, 3, 5, 7, 9, 11, 13, 15, -1, -3, -5, -7, -9, -11, -13, -15}, 1};
constexpr Codebook kIq4 = {{-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113}, 1};
constexpr Codebook kFp4 = {kFp4Twice, 0.5F};
constexpr Codebook kNone = {};

const kernels::Grid* grid_of(TensorType type) {
  static const kernels::Grid iq2_xxs_grid = entries_of(kIq2XxsGrid, 2, kIq2);
  static const kernels::Grid iq2_xs_grid = entries_of(kIq2XsGrid, 2, kIq2);
  static const kernels::Grid iq2_s_grid = entries_of(kIq2SGrid, 2, kIq2);
  static const kernels::Grid iq3_xxs_grid = entries_of(kIq3XxsGrid, 3, kIq3Xxs);
  static const kernels::Grid iq3_s_grid = entries_of(kIq3SGrid, 3, kIq3S);
  // Each weight is one more or one less than its entry; kIq1 begins with those that are one more.
  static const kernels::Grid iq1_grid = entries_of(kIq1Grid, 2, kIq1, 1);
  switch (type) {
    case TensorType::kIQ2_XXS:
      return &iq2_xxs_grid;
    case TensorType::kIQ2_XS:
      return &iq2_xs_grid;
    case TensorType::kIQ2_S:
      return &iq2_s_grid;
    case TensorType::kIQ3_XXS:
      return &iq3_xxs_grid;
    case TensorType::kIQ3_S:
      return &iq3_s_grid;
    case TensorType::kIQ1_S:
    case TensorType::kIQ1_M:
      return &iq1_grid;
    default:
      return nullptr;
  }
}

struct Row {
  TensorType type;
  void (*read)(const std::byte*, std::size_t, LowBits&);
  const Codebook* codebook;
  PackedType packed;
  ScaleType scale;
  std::uint16_t scale_k;
  std::int16_t d_at;  // where the f16 scale lies; -1 where read() knows
};

void iq4_nl(const std::byte* p, std::size_t /*b*/, LowBits& out) {
  unpack_nibbles(p + 2, out.u);
}
void mxfp4(const std::byte* p, std::size_t /*b*/, LowBits& out) {
  unpack_nibbles(p + 1, out.u);
  out.scale[0] = read_at<std::uint8_t>(p, 0);
}

constexpr Row kRows[] = {
    {TensorType::kQ2_K, q2_k, &kNone, PackedType::kU2K, ScaleType::kF16, 16, -1},
    {TensorType::kQ3_K, q3_k, &kNone, PackedType::kU3K, ScaleType::kF16, 16, -1},
    {TensorType::kIQ2_XXS, iq2_xxs, &kIq2, PackedType::kOct8, ScaleType::kF16Odd4, 32, 0},
    {TensorType::kIQ2_XS, iq2_xs, &kIq2, PackedType::kOct9x16, ScaleType::kF16Odd4, 16, 0},
    {TensorType::kIQ2_S, iq2_s, &kIq2, PackedType::kOct10x16, ScaleType::kF16Odd4, 16, 0},
    {TensorType::kIQ3_XXS, iq3_xxs, &kIq3Xxs, PackedType::kQuad8, ScaleType::kF16Odd4, 32, 0},
    {TensorType::kIQ3_S, iq3_s, &kIq3S, PackedType::kQuad9, ScaleType::kF16Odd4, 32, 0},
    {TensorType::kIQ1_S, iq1_s, &kIq1, PackedType::kOct11, ScaleType::kF16Odd4, 32, 0},
    {TensorType::kIQ1_M, iq1_m, &kIq1, PackedType::kOct11x16, ScaleType::kF16Odd4, 16, -1},
    {TensorType::kIQ4_NL, iq4_nl, &kIq4, PackedType::kT4, ScaleType::kF16, 32, 0},
    {TensorType::kIQ4_XS, iq4_xs, &kIq4, PackedType::kT4, ScaleType::kF16I8, 32, 0},
    {TensorType::kTQ1_0, tq1_0, &kNone, PackedType::kTrit, ScaleType::kF16, 256, -1},
    {TensorType::kTQ2_0, tq2_0, &kNone, PackedType::kU2Sym, ScaleType::kF16, 256, -1},
    {TensorType::kMXFP4, mxfp4, &kFp4, PackedType::kT4, ScaleType::kE8M0, 32, -1},
    {TensorType::kNVFP4, nvfp4, &kFp4, PackedType::kT4x16, ScaleType::kE4M3, 16, -1},
};

const Row* find_row(TensorType type) {
  for (const Row& r : kRows) {
    if (r.type == type) return &r;
  }
  return nullptr;
}

}  // namespace

bool is_low_bits(TensorType type) {
  return find_row(type) != nullptr;
}

LowBits read_low_bits(TensorType type, const std::byte* p, std::size_t b) {
  const Row& row = *find_row(type);
  LowBits out;
  if (row.d_at >= 0) out.d = read_at<std::uint16_t>(p, static_cast<std::size_t>(row.d_at));
  row.read(p, b, out);
  return out;
}

const Codebook& codebook_of(TensorType type) {
  return *find_row(type)->codebook;
}

PackedMatrix low_bits_form(TensorType type) {
  const Row& row = *find_row(type);
  PackedMatrix m;
  m.type = row.packed;
  m.scale_type = row.scale;
  m.scale_k = row.scale_k;
  m.scale_factor = row.codebook->factor;
  if (kernels::has_table(m.type)) m.codebook = row.codebook->values;
  m.grid = grid_of(type);
  return m;
}

}  // namespace kvasir::weights
