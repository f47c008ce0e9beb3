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
//   table      w = d * codebook[u]       16 or 8 signed bytes a matrix
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
// Scales of the types with super-blocks of 256 are
//   kU4K, kU5K  f16 d[16], f16 dmin[16], then 8 x { u8 sc[16], u8 mn[16] }; d = d * sc, m = -(dmin * mn)
//   kU2K        f16 d[16], f16 dmin[16], then 16 x { u8[16] }, one for 16 k: sc in the low nibble, mn in the
//   high kU3K, kU6K  f16 d[16], then 16 x { i8 sc[16] }, one for 16 k
// and of all others, for every `scale_k` columns, d[16] and, where the type is affine, m[16], stored as the
// matrix's ScaleType says. Unquantised types store [K][16 rows] of the element type; kF8 has scales behind.

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/aligned_buffer.h"

namespace kvasir::kernels {

inline constexpr std::size_t kGroupRows = 16;
inline constexpr std::size_t kBlockK = 32;
inline constexpr std::size_t kSuperK = 256;

enum class PackedType : std::uint8_t {
  kU4Sym,     // GGUF's Q4_0
  kU5Sym,     // Q5_0
  kU8Sym,     // Q8_0
  kU2Sym,     // TQ1_0, TQ2_0
  kU2Affine,  // MLX, and for 4 and 5 bits GGUF's Q4_1 and Q5_1
  kU3Affine,
  kU4Affine,
  kU5Affine,
  kU6Affine,
  kU8Affine,
  kU2K,    // Q2_K
  kU3K,    // Q3_K
  kU4K,    // Q4_K
  kU5K,    // Q5_K
  kU6K,    // Q6_K
  kT3,     // IQ1 and IQ2, where a scale covers 32 k or more
  kT3x16,  // ... and where it covers 16
  kT4,     // IQ3, IQ4, MXFP4
  kT4x16,  // NVFP4
  kF32,
  kF16,
  kBF16,
  kF8,  // e4m3, times scales
};

// How a scale is stored: floats, a power of two with a biased exponent in a byte, e4m3, or an f16 for 256 k
// times an i8 for every scale_k: f16 d[16], then 256 / scale_k x { i8 sc[16] }.
enum class ScaleType : std::uint8_t { kF16, kBF16, kF32, kE8M0, kE4M3, kF16I8 };

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
  return t >= PackedType::kT3 && t <= PackedType::kT4x16;
}
// Scales that change within a block of 32.
constexpr bool scales_by_16(PackedType t) {
  return t == PackedType::kU2K || t == PackedType::kU3K || t == PackedType::kU6K || t == PackedType::kT3x16 ||
         t == PackedType::kT4x16;
}
// What u is shifted by in symmetric types; 0 for all others.
constexpr int offset_of(PackedType t) {
  switch (t) {
    case PackedType::kU2Sym:
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

// Of a code; 0 for unquantised types.
constexpr unsigned bits_of(PackedType t) {
  switch (t) {
    case PackedType::kU2Sym:
    case PackedType::kU2Affine:
    case PackedType::kU2K:
      return 2;
    case PackedType::kU3Affine:
    case PackedType::kU3K:
    case PackedType::kT3:
    case PackedType::kT3x16:
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

// Bytes of one block's codes (quantised types), and of one k of one group (unquantised types).
constexpr std::size_t quant_bytes(PackedType t) {
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

// A weight matrix of shape (rows, columns), y = W x. Owns its bytes; immutable once packed. Rows past the
// last whole group are zeros.
struct PackedMatrix {
  PackedType type = PackedType::kF32;
  std::size_t rows = 0;
  std::size_t columns = 0;  // K: a multiple of 32, of 256 for types with super-blocks, and of scale_k
  // Of types without super-blocks.
  ScaleType scale_type = ScaleType::kF16;
  std::size_t scale_k = kBlockK;           // 32, 64, 128 or 256; 16 where scales_by_16()
  float scale_factor = 1;                  // of table types and kF8: scales are multiplied by it
  std::array<std::int8_t, 16> codebook{};  // of table types
  AlignedBuffer data;

  std::size_t groups() const { return (rows + kGroupRows - 1) / kGroupRows; }
  std::size_t scales_offset() const {  // within a group
    return is_quantized(type) ? columns / kBlockK * quant_bytes(type) : columns * quant_bytes(type);
  }
  // Of the scales of one group that cover the columns in front of column k, a multiple of what a scale
  // covers.
  std::size_t scale_bytes_before(std::size_t k) const {
    if (has_super_blocks(type)) return k / kSuperK * super_bytes(type);
    if (!is_quantized(type) && type != PackedType::kF8) return 0;
    if (scale_type == ScaleType::kF16I8) {
      return k / kSuperK * (32 + kSuperK / scale_k * kGroupRows) + (k % kSuperK) / scale_k * kGroupRows;
    }
    return k / scale_k * kGroupRows * bytes_of(scale_type) * (is_affine(type) ? 2 : 1);
  }
  std::size_t group_bytes() const { return (scales_offset() + scale_bytes_before(columns) + 63) / 64 * 64; }
  std::byte* group(std::size_t g) { return data.data() + g * group_bytes(); }
  const std::byte* group(std::size_t g) const { return data.data() + g * group_bytes(); }
};

// One row of the matrix as floats, exactly (for embedding look-ups and tests). out: (columns)
void dequantize_row(const PackedMatrix& m, std::size_t row, float* out);

}  // namespace kvasir::kernels
