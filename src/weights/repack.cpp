#include "weights/repack.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "weights/blocks.h"

namespace kvasir::weights {
namespace {

using kernels::kBlockK;
using kernels::kGroupRows;
using kernels::PackedMatrix;
using kernels::PackedType;

PackedType packed_type(TensorType type) {
  switch (type) {
    case TensorType::kF32:
      return PackedType::kF32;
    case TensorType::kF16:
      return PackedType::kF16;
    case TensorType::kBF16:
      return PackedType::kBF16;
    case TensorType::kQ4_0:
      return PackedType::kU4Sym;
    case TensorType::kQ4_1:
      return PackedType::kU4Affine;
    case TensorType::kQ5_0:
      return PackedType::kU5Sym;
    case TensorType::kQ5_1:
      return PackedType::kU5Affine;
    case TensorType::kQ8_0:
      return PackedType::kU8Sym;
    case TensorType::kQ4_K:
      return PackedType::kU4K;
    case TensorType::kQ5_K:
      return PackedType::kU5K;
    case TensorType::kQ6_K:
      return PackedType::kU6K;
  }
  return PackedType::kF32;
}

// Writes u[32] of one row into a block of the packed group.
void place_block(PackedType type, const std::uint8_t* u, std::size_t lane, std::byte* block) {
  auto* out = reinterpret_cast<std::uint8_t*>(block);
  for (std::size_t k = 0; k < kBlockK; ++k) {
    const std::size_t step = k / 4;
    const std::size_t i = lane * 4 + k % 4;
    if (type == PackedType::kU8Sym) {
      out[step * 64 + i] = u[k];
      continue;
    }
    std::uint8_t& pair = out[step % 4 * 64 + i];
    pair = static_cast<std::uint8_t>(pair | ((u[k] & 15U) << (step < 4 ? 0 : 4)));
    if (kernels::quant_bytes(type) == 320) {
      std::uint8_t& bits = out[256 + step * 8 + i / 8];
      bits = static_cast<std::uint8_t>(bits | ((u[k] >> 4) << (i % 8)));
    } else if (type == PackedType::kU6K) {
      std::uint8_t& bits = out[256 + step / 4 * 64 + i];
      bits = static_cast<std::uint8_t>(bits | ((u[k] >> 4) << (2 * (step % 4))));
    }
  }
}

void unpack_32(TensorType type, const std::byte* p, std::uint8_t* u) {
  switch (type) {
    case TensorType::kQ4_0:
      return unpack_nibbles(p + 2, u);
    case TensorType::kQ4_1:
      return unpack_nibbles(p + 4, u);
    case TensorType::kQ5_0:
      unpack_nibbles(p + 6, u);
      return or_fifth_bits(read_at<std::uint32_t>(p, 2), u);
    case TensorType::kQ5_1:
      unpack_nibbles(p + 8, u);
      return or_fifth_bits(read_at<std::uint32_t>(p, 4), u);
    default:  // kQ8_0
      for (std::size_t i = 0; i < 32; ++i)
        u[i] = static_cast<std::uint8_t>(read_at<std::int8_t>(p, 2 + i) + 128);
  }
}

// One row of a type with blocks of 32.
void pack_row_32(TensorType type, const std::byte* row, std::size_t lane, PackedMatrix& m, std::byte* group) {
  const std::size_t bytes = bytes_per_block(type);
  std::byte* scales = group + m.scales_offset();
  std::uint8_t u[32];
  for (std::size_t b = 0; b < m.columns / kBlockK; ++b, row += bytes) {
    unpack_32(type, row, u);
    place_block(m.type, u, lane, group + b * kernels::quant_bytes(m.type));
    std::byte* s = scales + b * kernels::scale_bytes(m.type);
    std::memcpy(s + lane * 2, row, 2);
    if (kernels::offset_of(m.type) == 0) std::memcpy(s + 32 + lane * 2, row + 2, 2);
  }
}

// One row of Q4_K, Q5_K or Q6_K.
void pack_row_k(TensorType type, const std::byte* row, std::size_t lane, PackedMatrix& m, std::byte* group) {
  const std::size_t bytes = bytes_per_block(type);
  std::byte* scales = group + m.scales_offset();
  std::uint8_t u[32];
  for (std::size_t b = 0; b < m.columns / kBlockK; ++b) {
    const std::byte* super = row + b / 8 * bytes;
    std::byte* s = scales + b / 8 * kernels::scale_bytes(m.type);
    const std::size_t j = b % 8;
    if (type == TensorType::kQ6_K) {
      unpack_k6(super, j, u);
      std::memcpy(s + lane * 2, super + 208, 2);
      s[32 + 2 * j * 16 + lane] = super[192 + 2 * j];
      s[32 + (2 * j + 1) * 16 + lane] = super[192 + 2 * j + 1];
    } else {
      const bool five = type == TensorType::kQ5_K;
      unpack_k45(super + (five ? 48 : 16), five ? super + 16 : nullptr, j, u);
      const ScaleMin sm = scale_min(super + 4, j);
      std::memcpy(s + lane * 2, super, 2);
      std::memcpy(s + 32 + lane * 2, super + 2, 2);
      s[64 + j * 32 + lane] = std::byte{sm.scale};
      s[64 + j * 32 + 16 + lane] = std::byte{sm.min};
    }
    place_block(m.type, u, lane, group + b * kernels::quant_bytes(m.type));
  }
}

void pack_row_plain(const std::byte* row, std::size_t element_bytes, std::size_t lane, PackedMatrix& m,
                    std::byte* group) {
  const std::size_t step = kernels::quant_bytes(m.type);
  for (std::size_t k = 0; k < m.columns; ++k) {
    std::memcpy(group + k * step + lane * element_bytes, row + k * element_bytes, element_bytes);
  }
}

}  // namespace

Result<PackedMatrix> repack(const TensorInfo& tensor, ThreadPool& pool) {
  PackedMatrix m;
  m.type = packed_type(tensor.type);
  m.rows = static_cast<std::size_t>(tensor.rows());
  m.columns = static_cast<std::size_t>(tensor.columns());
  if (m.columns % kBlockK != 0) {
    return make_error(ErrorCode::kUnsupported,
                      "tensor '" + tensor.name + "' has rows of " + std::to_string(m.columns) +
                          " elements; only multiples of 32 are supported",
                      tensor.name);
  }
  m.data = AlignedBuffer(m.groups() * m.group_bytes());
  const std::size_t row_bytes = m.columns / elements_per_block(tensor.type) * bytes_per_block(tensor.type);
  std::vector<const std::byte*> rows;
  rows.reserve(m.rows);
  for (const TensorPart& part : tensor.parts) {
    for (std::uint64_t r = 0; r < part.rows; ++r) rows.push_back(part.data.data() + r * row_bytes);
  }
  pool.parallel_for(m.groups(), 4, [&](std::size_t begin, std::size_t end, std::size_t) {
    for (std::size_t g = begin; g < end; ++g) {
      const std::size_t last = std::min(kGroupRows, m.rows - g * kGroupRows);
      for (std::size_t lane = 0; lane < last; ++lane) {
        const std::byte* row = rows[g * kGroupRows + lane];
        if (!kernels::is_quantized(m.type)) {
          pack_row_plain(row, bytes_per_block(tensor.type), lane, m, m.group(g));
        } else if (kernels::has_super_blocks(m.type)) {
          pack_row_k(tensor.type, row, lane, m, m.group(g));
        } else {
          pack_row_32(tensor.type, row, lane, m, m.group(g));
        }
      }
    }
  });
  return m;
}

}  // namespace kvasir::weights
