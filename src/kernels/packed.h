#pragma once
// The one internal family of weight layouts. Every matrix is repacked into it on load (weights/repack.h).
//
// Rows are interleaved in groups of 16, so that each SIMD lane owns an output row and walks K in order: one
// token (GEMV) and many (GEMM) then add in the same order, which is promise 1 by construction. All
// instruction sets share it.
//
// A quantised weight is one of
//   symmetric  w = d * (u - offset)      u an unsigned code
//   affine     w = d * u + m
//   table      w = d * codebook[u]       16 signed bytes a matrix
// K is cut into blocks of 32; a block of a group is 8 steps of [16 rows][4 k] bytes (64 bytes: what one int8
// dot instruction takes), in which byte i of step s is row i / 4, k = 4 * s + i % 4. A group is its codes,
// block by block, then its scales. Codes of a block, by their bits:
//
//   2  128 bytes: byte h*64 + i holds steps h, h + 2, h + 4, h + 6 at bit positions 0, 2, 4, 6
//   3  as 2, then 64 bytes: 8 words of 64 bits, bit i of word s is bit 2 of byte i of step s
//   4  256 bytes: byte j*64 + i holds step j in its low nibble and step j + 4 in its high one
//   5  as 4, then 64 bytes: 8 words of 64 bits, bit i of word s is bit 4 of byte i of step s
//   6  as 4, then 128 bytes: byte h*64 + i holds bits 4..5 of steps 4h + j at bit position 2j, j < 4
//   8  512 bytes: step s at s*64
//
// Two kinds of types have codes that stand for several weights:
//   grid  w = d * (entry of a table of signed bytes, with signs or moved by one)
//         kOct*: an index names 8 k of a row, kQuad*: 4 k; a block has n = 4 or 8 of them a row. It is
//         16 n bytes: byte j*16 + r is the low 8 bits of row r's index j;
//         then their other bits, h an index, in a field a row, index j's from bit j*h on: nothing for h = 0,
//         8 bytes for fields of 4 bits (rows r and r + 8 share byte r, the first in its low nibble), 16 bytes
//         for 8 bits, 16 words for 12 bits;
//         then signs: 64 bytes, 8 words of 64 bits, bit i of word s is set where byte i of step s is negated.
//         kOct11 has no signs: bit 12 + j of a row's word says that index j's weights are one less than the
//         table has them, else they are one more.
//   trit  w = d * (u - 1), u 0, 1 or 2: three are a code of 5 bits, c = 9 u0 + 3 u1 + u2, but the last code
//         of a block is of two, c = 3 u0 + u1. Two blocks together are 224 bytes:
//         64 bytes for each of them: byte i holds the low 4 bits of the code of byte i of steps 0, 1, 2 in
//         its low nibble, of that of steps 3, 4, 5 in its high one;
//         64 bytes: byte i holds the codes of byte i of steps 6, 7, of either block in a nibble;
//         4 words of 64 bits: bit i of word 2h + j is bit 4 of the code of byte i of steps 3j, 3j + 1, 3j + 2
//         of block h.
//
// Scales of the types with super-blocks of 256 are
//   kU4K, kU5K  f16 d[16], f16 dmin[16], then 8 x { u8 sc[16], u8 mn[16] }; d = d * sc, m = -(dmin * mn)
//   kU2K        f16 d[16], f16 dmin[16], then 16 x { u8[16] }, for 16 k each: sc in the low nibble, mn above
//   kU3K, kU6K  f16 d[16], then 16 x { i8 sc[16] }, one for 16 k
// and of all others, for every `scale_k` columns, d[16] and, where the type is affine, m[16], stored as the
// matrix's ScaleType says. Unquantised types store [K][16 rows] of the element type; kF8 has scales behind.

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/aligned_buffer.h"

namespace kvasir::kernels {

inline constexpr std::size_t kGroupRows = 16;
inline constexpr std::size_t kBlockK = 32;
inline constexpr std::size_t kSuperK = 256;

enum class PackedType : std::uint8_t {
  kU4Sym,     // GGUF's Q4_0
  kU5Sym,     // Q5_0
  kU8Sym,     // Q8_0
  kU2Sym,     // TQ2_0
  kTrit,      // TQ1_0
  kU2Affine,  // MLX, and for 4 and 5 bits GGUF's Q4_1 and Q5_1
  kU3Affine,
  kU4Affine,
  kU5Affine,
  kU6Affine,
  kU8Affine,
  kU2K,       // Q2_K
  kU3K,       // Q3_K
  kU4K,       // Q4_K
  kU5K,       // Q5_K
  kU6K,       // Q6_K
  kT4,        // IQ4, MXFP4
  kT4x16,     // NVFP4
  kOct8,      // IQ2_XXS. The number: bits of an index; x16: a scale for 16 k, else for 32
  kOct9x16,   // IQ2_XS
  kOct10x16,  // IQ2_S
  kOct11,     // IQ1_S
  kOct11x16,  // IQ1_M
  kQuad8,     // IQ3_XXS
  kQuad9,     // IQ3_S
  kF32,
  kF16,
  kBF16,
  kF8,  // e4m3, times scales
};

// How a scale is stored: floats, a power of two with a biased exponent in a byte, e4m3, or an f16 for 256 k
// times an integer for every scale_k: an i8, f16 d[16], then 256 / scale_k x { i8 sc[16] }; or 2n + 1,
// f16 d[16], then 128 / scale_k x { u8[16] }: n of an even scale in the low nibble, of the next in the high.
enum class ScaleType : std::uint8_t { kF16, kBF16, kF32, kE8M0, kE4M3, kF16I8, kF16Odd4 };

constexpr std::size_t bytes_of(ScaleType t) {
  switch (t) {
    case ScaleType::kF32:
      return 4;
    case ScaleType::kF16:
    case ScaleType::kBF16:
      return 2;
    default:
      return 1;
  }
}

constexpr bool is_quantized(PackedType t) {
  return t < PackedType::kF32;
}
constexpr bool has_super_blocks(PackedType t) {
  return t >= PackedType::kU2K && t <= PackedType::kU6K;
}
constexpr bool is_affine(PackedType t) {
  return t >= PackedType::kU2Affine && t <= PackedType::kU5K && t != PackedType::kU3K;
}
constexpr bool has_table(PackedType t) {
  return t == PackedType::kT4 || t == PackedType::kT4x16;
}
constexpr bool has_grid(PackedType t) {
  return t >= PackedType::kOct8 && t <= PackedType::kQuad9;
}
// Weights that one index of a grid type names.
constexpr std::size_t entry_k(PackedType t) {
  return t >= PackedType::kQuad8 ? 4 : 8;
}
// Indices of a row in a block.
constexpr std::size_t indices_of(PackedType t) {
  return kBlockK / entry_k(t);
}
constexpr unsigned index_bits(PackedType t) {
  switch (t) {
    case PackedType::kOct8:
    case PackedType::kQuad8:
      return 8;
    case PackedType::kOct9x16:
    case PackedType::kQuad9:
      return 9;
    case PackedType::kOct10x16:
      return 10;
    default:
      return 11;
  }
}
// Its entries are moved by one instead of having signs.
constexpr bool moves_entries(PackedType t) {
  return t == PackedType::kOct11 || t == PackedType::kOct11x16;
}
// Bytes of a block's low and high index bits.
constexpr std::size_t index_low_bytes(PackedType t) {
  return indices_of(t) * kGroupRows;
}
constexpr std::size_t index_high_bytes(PackedType t) {
  const std::size_t bits = (index_bits(t) - 8) * indices_of(t) + (moves_entries(t) ? 4 : 0);
  return bits * kGroupRows / 8;
}
// Scales that change within a block of 32.
constexpr bool scales_by_16(PackedType t) {
  return t == PackedType::kU2K || t == PackedType::kU3K || t == PackedType::kU6K || t == PackedType::kT4x16 ||
         t == PackedType::kOct9x16 || t == PackedType::kOct10x16 || t == PackedType::kOct11x16;
}
// What u is shifted by in symmetric types; 0 for all others.
constexpr int offset_of(PackedType t) {
  switch (t) {
    case PackedType::kU2Sym:
    case PackedType::kTrit:
      return 1;
    case PackedType::kU3K:
      return 4;
    case PackedType::kU4Sym:
      return 8;
    case PackedType::kU5Sym:
      return 16;
    case PackedType::kU6K:
      return 32;
    case PackedType::kU8Sym:
      return 128;
    default:
      return 0;
  }
}

// Of a code; 0 for unquantised types and those whose codes stand for several weights.
constexpr unsigned bits_of(PackedType t) {
  switch (t) {
    case PackedType::kU2Sym:
    case PackedType::kU2Affine:
    case PackedType::kU2K:
      return 2;
    case PackedType::kU3Affine:
    case PackedType::kU3K:
      return 3;
    case PackedType::kU4Sym:
    case PackedType::kU4Affine:
    case PackedType::kU4K:
    case PackedType::kT4:
    case PackedType::kT4x16:
      return 4;
    case PackedType::kU5Sym:
    case PackedType::kU5Affine:
    case PackedType::kU5K:
      return 5;
    case PackedType::kU6Affine:
    case PackedType::kU6K:
      return 6;
    case PackedType::kU8Sym:
    case PackedType::kU8Affine:
      return 8;
    default:
      return 0;
  }
}

// The trits of a code at bit positions 0, 2 and 4; nought for codes that no three trits have.
constexpr std::array<std::uint8_t, 32> kTritsOfCode = [] {
  std::array<std::uint8_t, 32> trits{};
  for (unsigned c = 0; c < 27; ++c) trits[c] = static_cast<std::uint8_t>(c / 9 | c / 3 % 3 << 2 | c % 3 << 4);
  return trits;
}();

// Bytes of one block's codes (quantised types; of kTrit, half of what two take), and of one k of one
// group (unquantised types).
constexpr std::size_t quant_bytes(PackedType t) {
  if (t == PackedType::kTrit) return 112;
  if (has_grid(t)) return index_low_bytes(t) + index_high_bytes(t) + (moves_entries(t) ? 0 : 64);
  if (is_quantized(t)) return std::size_t{64} * bits_of(t);
  return t == PackedType::kF32 ? 64 : t == PackedType::kF8 ? 16 : 32;
}

// Bytes of the scales of a super-block.
constexpr std::size_t super_bytes(PackedType t) {
  switch (t) {
    case PackedType::kU2K:
      return 64 + 16 * 16;
    case PackedType::kU4K:
    case PackedType::kU5K:
      return 64 + 8 * 32;
    default:
      return 32 + 16 * 16;
  }
}

// The entries that the indices of a grid type name, 8 or 4 bytes each, none below -127 (so that its negative
// is a byte): as they are, and 128 more, for instruction sets whose dot takes unsigned bytes.
struct Grid {
  std::vector<std::int8_t> entries;
  std::vector<std::uint8_t> entries_moved;

  Grid() = default;
  explicit Grid(std::vector<std::int8_t> bytes);
};

// A weight matrix of shape (rows, columns), y = W x. Owns its bytes; immutable once packed. Rows past the
// last whole group are zeros.
struct PackedMatrix {
  PackedType type = PackedType::kF32;
  std::size_t rows = 0;
  // K: a multiple of 32 and, but for kF8, of scale_k; of 256 for kTrit and types with super-blocks or grids
  std::size_t columns = 0;
  // Of types without super-blocks.
  ScaleType scale_type = ScaleType::kF16;
  std::size_t scale_k = kBlockK;           // 32, 64, 128 or 256; 16 where scales_by_16(); kF8: n * 32
  float scale_factor = 1;                  // of table and grid types and kF8: scales are multiplied by it
  std::array<std::int8_t, 16> codebook{};  // of table types
  const Grid* grid = nullptr;              // of grid types: not owned, outlives the matrix
  AlignedBuffer data;

  std::size_t groups() const { return (rows + kGroupRows - 1) / kGroupRows; }
  std::size_t scales_offset() const {  // within a group
    return is_quantized(type) ? columns / kBlockK * quant_bytes(type) : columns * quant_bytes(type);
  }
  // Of the scales of one group that cover the columns in front of column k, a multiple of what a scale covers
  // or all columns: the last scale of kF8 may cover less than the others.
  std::size_t scale_bytes_before(std::size_t k) const {
    if (has_super_blocks(type)) return k / kSuperK * super_bytes(type);
    if (!is_quantized(type) && type != PackedType::kF8) return 0;
    if (scale_type == ScaleType::kF16I8) {
      return k / kSuperK * (32 + kSuperK / scale_k * kGroupRows) + (k % kSuperK) / scale_k * kGroupRows;
    }
    if (scale_type == ScaleType::kF16Odd4) {  // of pairs of scales
      return k / kSuperK * (32 + kSuperK / scale_k / 2 * kGroupRows) +
             (k % kSuperK) / scale_k / 2 * kGroupRows;
    }
    return (k + scale_k - 1) / scale_k * kGroupRows * bytes_of(scale_type) * (is_affine(type) ? 2 : 1);
  }
  std::size_t group_bytes() const { return (scales_offset() + scale_bytes_before(columns) + 63) / 64 * 64; }
  std::byte* group(std::size_t g) { return data.data() + g * group_bytes(); }
  const std::byte* group(std::size_t g) const { return data.data() + g * group_bytes(); }
};

// One row of the matrix as floats, exactly (for embedding look-ups and tests). out: (columns)
void dequantize_row(const PackedMatrix& m, std::size_t row, float* out);

}  // namespace kvasir::kernels
