#pragma once
// The one internal family of weight layouts. Every matrix is repacked into it on load (weights/repack.h).
//
// Rows are interleaved in groups of 16, so that each SIMD lane owns an output row and walks K in order: one
// token (GEMV) and many (GEMM) then add in the same order, which is promise 1 by construction. All
// instruction sets share it.
//
// A quantised weight is w = d * (u - offset) for symmetric types and w = d * u + m for affine ones, u
// unsigned. K is cut into blocks of 32; a block of a group is 8 steps of [16 rows][4 k] bytes (64 bytes: what
// one int8 dot instruction takes). A group is its quants, block by block, then its scales, block by block:
//
//   nibbles   256 bytes: byte j*64 + i holds u's low 4 bits of step j (low nibble) and of step j + 4 (high),
//   j < 4 5th bits   64 bytes: 8 words of 64 bits, bit i of word s is bit 4 of byte i of step s (kU5*) 2 bits
//   128 bytes: byte h*64 + i holds bits 4..5 of steps 4h + j at bit position 2j, j < 4      (kU6K) bytes 512
//   bytes: step s at s*64                                                              (kU8Sym)
//
//   scales of kU4Sym, kU5Sym, kU8Sym   a block: f16 d[16]
//             kU4Affine, kU5Affine     a block: f16 d[16], f16 m[16]
//             kU4K, kU5K               a super-block of 256: f16 d[16], f16 dmin[16], then 8 x { u8 sc[16],
//             u8 mn[16] };
//                                      block scale = d * sc, block minimum = -(dmin * mn)
//             kU6K                     a super-block of 256: f16 d[16], then 16 x { i8 sc[16] }, one per 16 k
// Unquantised types store [K][16 rows] of the element type.

#include <cstddef>
#include <cstdint>

#include "base/aligned_buffer.h"

namespace kvasir::kernels {

inline constexpr std::size_t kGroupRows = 16;
inline constexpr std::size_t kBlockK = 32;
inline constexpr std::size_t kSuperK = 256;

enum class PackedType : std::uint8_t {
  kU4Sym,     // Q4_0
  kU4Affine,  // Q4_1
  kU5Sym,     // Q5_0
  kU5Affine,  // Q5_1
  kU8Sym,     // Q8_0
  kU4K,       // Q4_K
  kU5K,       // Q5_K
  kU6K,       // Q6_K
  kF32,
  kF16,
  kBF16,
};

constexpr bool is_quantized(PackedType t) {
  return t < PackedType::kF32;
}
constexpr bool has_super_blocks(PackedType t) {
  return t == PackedType::kU4K || t == PackedType::kU5K || t == PackedType::kU6K;
}
// What u is shifted by in symmetric types; 0 for affine ones.
constexpr int offset_of(PackedType t) {
  switch (t) {
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

// Bytes of one block's quants (quantised types), and of one k of one group (unquantised types).
constexpr std::size_t quant_bytes(PackedType t) {
  switch (t) {
    case PackedType::kU4Sym:
    case PackedType::kU4Affine:
    case PackedType::kU4K:
      return 256;
    case PackedType::kU5Sym:
    case PackedType::kU5Affine:
    case PackedType::kU5K:
      return 320;
    case PackedType::kU6K:
      return 384;
    case PackedType::kU8Sym:
      return 512;
    case PackedType::kF32:
      return 64;
    default:
      return 32;
  }
}

// Bytes of the scales of one block, or of one super-block where the type has those.
constexpr std::size_t scale_bytes(PackedType t) {
  switch (t) {
    case PackedType::kU4Sym:
    case PackedType::kU5Sym:
    case PackedType::kU8Sym:
      return 32;
    case PackedType::kU4Affine:
    case PackedType::kU5Affine:
      return 64;
    case PackedType::kU4K:
    case PackedType::kU5K:
      return 64 + 8 * 32;
    case PackedType::kU6K:
      return 32 + 16 * 16;
    default:
      return 0;
  }
}

// A weight matrix of shape (rows, columns), y = W x. Owns its bytes; immutable once packed. Rows past the
// last whole group are zeros.
struct PackedMatrix {
  PackedType type = PackedType::kF32;
  std::size_t rows = 0;
  std::size_t columns = 0;  // K: a multiple of 32 (256 for types with super-blocks)
  AlignedBuffer data;

  std::size_t groups() const { return (rows + kGroupRows - 1) / kGroupRows; }
  std::size_t scales_offset() const {  // within a group
    return is_quantized(type) ? columns / kBlockK * quant_bytes(type) : columns * quant_bytes(type);
  }
  std::size_t group_bytes() const {
    if (!is_quantized(type)) return scales_offset();
    const std::size_t units = columns / (has_super_blocks(type) ? kSuperK : kBlockK);
    return (scales_offset() + units * scale_bytes(type) + 63) / 64 * 64;
  }
  std::byte* group(std::size_t g) { return data.data() + g * group_bytes(); }
  const std::byte* group(std::size_t g) const { return data.data() + g * group_bytes(); }
};

// One row of the matrix as floats, exactly (for embedding look-ups and tests). out: (columns)
void dequantize_row(const PackedMatrix& m, std::size_t row, float* out);

}  // namespace kvasir::kernels
