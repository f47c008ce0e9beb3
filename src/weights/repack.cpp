#include "weights/repack.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <vector>

#include "base/check.h"
#include "weights/blocks.h"
#include "weights/codes.h"
#include "weights/dequantize.h"
#include "weights/low_bits.h"
#include "weights/place_codes.h"

namespace kvasir::weights {
namespace {

using kernels::kBlockK;
using kernels::kGroupRows;
using kernels::PackedMatrix;
using kernels::PackedType;

PackedType affine_type(unsigned bits) {
  switch (bits) {
    case 2:
      return PackedType::kU2Affine;
    case 3:
      return PackedType::kU3Affine;
    case 4:
      return PackedType::kU4Affine;
    case 5:
      return PackedType::kU5Affine;
    case 6:
      return PackedType::kU6Affine;
    default:
      return PackedType::kU8Affine;
  }
}

PackedType packed_type(const TensorInfo& tensor) {
  switch (tensor.type) {
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
    case TensorType::kAffine:
      return affine_type(tensor.scaling.bits);
    case TensorType::kFp4:
      return tensor.scaling.columns == 16 ? PackedType::kT4x16 : PackedType::kT4;
    case TensorType::kFp8:
      return PackedType::kF8;
    default:
      return low_bits_form(tensor.type).type;
  }
}

// Without the fifth bits of types that have some.
void unpack_32(TensorType type, const std::byte* p, std::uint8_t* u) {
  switch (type) {
    case TensorType::kQ4_0:
      return unpack_nibbles(p + 2, u);
    case TensorType::kQ4_1:
      return unpack_nibbles(p + 4, u);
    case TensorType::kQ5_0:
      return unpack_nibbles(p + 6, u);
    case TensorType::kQ5_1:
      return unpack_nibbles(p + 8, u);
    default:  // kQ8_0
      for (std::size_t i = 0; i < 32; ++i)
        u[i] = static_cast<std::uint8_t>(read_at<std::int8_t>(p, 2 + i) + 128);
  }
}

// The rows of one group; fewer than kGroupRows at a matrix's end.
using GroupRows = std::span<const TensorRow>;

// A group of a type with blocks of 32.
void pack_group_32(TensorType type, GroupRows rows, PackedMatrix& m, std::byte* group) {
  const std::size_t bytes = bytes_per_block(type);
  std::byte* scales = group + m.scales_offset();
  const std::size_t fifth = type == TensorType::kQ5_0 ? 2 : type == TensorType::kQ5_1 ? 4 : 0;
  BlockCodes u = {};
  std::uint32_t fifth_bits[kGroupRows] = {};
  for (std::size_t b = 0; b < m.columns / kBlockK; ++b) {
    std::byte* s = scales + m.scale_bytes_before(b * kBlockK);
    for (std::size_t lane = 0; lane < rows.size(); ++lane) {
      const std::byte* block = rows[lane].data + b * bytes;
      unpack_32(type, block, u[lane]);
      std::memcpy(s + lane * 2, block, 2);
      if (kernels::is_affine(m.type)) std::memcpy(s + 32 + lane * 2, block + 2, 2);
      if (fifth != 0) fifth_bits[lane] = read_at<std::uint32_t>(block, fifth);
    }
    std::byte* to = group + b * kernels::quant_bytes(m.type);
    if (fifth == 0) {
      place_codes(m.type, u, to);
    } else {
      place_nibbles(u, to);
      place_fifth_bits(fifth_bits, to + 4 * 64);
    }
  }
}

// Block j of 32 of one row's super-block of Q4_K, Q5_K or Q6_K, and its scales into those of the group's.
void unpack_k(TensorType type, const std::byte* super, std::size_t j, std::uint8_t* u, std::size_t lane,
              std::byte* scales) {
  if (type == TensorType::kQ6_K) {
    unpack_k6(super, j, u);
    std::memcpy(scales + lane * 2, super + 208, 2);
    scales[32 + 2 * j * 16 + lane] = super[192 + 2 * j];
    scales[32 + (2 * j + 1) * 16 + lane] = super[192 + 2 * j + 1];
    return;
  }
  const bool five = type == TensorType::kQ5_K;
  unpack_k45(super + (five ? 48 : 16), five ? super + 16 : nullptr, j, u);
  const ScaleMin sm = scale_min(super + 4, j);
  std::memcpy(scales + lane * 2, super, 2);
  std::memcpy(scales + 32 + lane * 2, super + 2, 2);
  scales[64 + j * 32 + lane] = std::byte{sm.scale};
  scales[64 + j * 32 + 16 + lane] = std::byte{sm.min};
}

// A group of Q4_K, Q5_K or Q6_K.
void pack_group_k(TensorType type, GroupRows rows, PackedMatrix& m, std::byte* group) {
  const std::size_t bytes = bytes_per_block(type);
  BlockCodes u = {};
  for (std::size_t b = 0; b < m.columns / kBlockK; ++b) {
    std::byte* scales = group + m.scales_offset() + b / 8 * kernels::super_bytes(m.type);
    for (std::size_t lane = 0; lane < rows.size(); ++lane)
      unpack_k(type, rows[lane].data + b / 8 * bytes, b % 8, u[lane], lane, scales);
    place_codes(m.type, u, group + b * kernels::quant_bytes(m.type));
  }
}

void pack_row_plain(const std::byte* row, std::size_t element_bytes, std::size_t lane, PackedMatrix& m,
                    std::byte* group) {
  const std::size_t step = kernels::quant_bytes(m.type);
  for (std::size_t k = 0; k < m.columns; ++k) {
    std::memcpy(group + k * step + lane * element_bytes, row + k * element_bytes, element_bytes);
  }
}

// A group of elements as they are: 16 rows beside each other.
template <std::size_t kBytes>
void pack_group_plain(GroupRows rows, PackedMatrix& m, std::byte* group) {
  for (std::size_t k = 0; k < m.columns; ++k, group += kernels::quant_bytes(m.type)) {
    for (std::size_t lane = 0; lane < rows.size(); ++lane)
      std::memcpy(group + lane * kBytes, rows[lane].data + k * kBytes, kBytes);
  }
}

// A group of a type whose scales lie apart.
void pack_group_codes(const TensorInfo& tensor, GroupRows rows, PackedMatrix& m, std::byte* group) {
  const std::size_t bytes = kernels::bytes_of(m.scale_type);
  BlockCodes u = {};
  for (std::size_t b = 0; b < m.columns / kBlockK; ++b) {
    for (std::size_t lane = 0; lane < rows.size(); ++lane)
      unpack_codes(rows[lane].data, tensor.scaling.bits, b * kBlockK, u[lane]);
    if (m.type != PackedType::kF8) {
      place_codes(m.type, u, group + b * kernels::quant_bytes(m.type));
      continue;
    }
    for (std::size_t i = 0; i < kBlockK; ++i) {
      for (std::size_t lane = 0; lane < rows.size(); ++lane)
        group[(b * kBlockK + i) * kGroupRows + lane] = std::byte{u[lane][i]};
    }
  }
  for (std::size_t k = 0; k < m.columns; k += m.scale_k) {
    const std::size_t from = k / static_cast<std::size_t>(tensor.scaling.columns) * bytes;
    std::byte* to = group + m.scales_offset() + m.scale_bytes_before(k);
    for (std::size_t lane = 0; lane < rows.size(); ++lane, to += bytes) {
      std::memcpy(to, rows[lane].scales + from, bytes);
      if (kernels::is_affine(m.type)) std::memcpy(to + kGroupRows * bytes, rows[lane].biases + from, bytes);
    }
  }
}

void or_byte(std::byte* at, unsigned bits) {
  *at |= static_cast<std::byte>(bits);
}

// Writes a block of one row of a type with a grid into a block of the packed group, which is zero there.
void place_grid(PackedType type, const LowBits& from, std::size_t lane, std::byte* block) {
  const std::size_t indices = kernels::indices_of(type);
  const unsigned extra = kernels::index_bits(type) - 8;
  const bool moves = kernels::moves_entries(type);
  std::byte* high = block + kernels::index_low_bytes(type);
  unsigned field = 0;
  for (std::size_t j = 0; j < indices; ++j) {
    block[j * kGroupRows + lane] = static_cast<std::byte>(from.index[j] & 255U);
    field |= static_cast<unsigned>(from.index[j] >> 8) << (extra * j);
    if (moves) field |= (from.negative >> (8 * j) & 1U) << (12 + j);
  }
  switch (kernels::index_high_bytes(type)) {
    case 0:
      break;
    case 8:
      or_byte(high + lane % 8, field << (lane < 8 ? 0 : 4));
      break;
    case 16:
      or_byte(high + lane, field);
      break;
    default:
      or_byte(high + 2 * lane, field & 255U);
      or_byte(high + 2 * lane + 1, field >> 8);
  }
  if (moves) return;
  std::byte* signs = high + kernels::index_high_bytes(type);
  for (std::size_t k = 0; k < kBlockK; ++k) {
    const std::size_t i = lane * 4 + k % 4;
    or_byte(signs + k / 4 * 8 + i / 8, (from.negative >> k & 1U) << (i % 8));
  }
}

// Writes a block of one row of trits into one of the two blocks at `pair` of the packed group, zero there.
void place_trits(const std::uint8_t* u, std::size_t lane, bool second, std::byte* pair) {
  for (std::size_t k = 0; k < 4; ++k) {
    const std::size_t i = lane * 4 + k;
    const auto at = [&](std::size_t step) { return static_cast<unsigned>(u[4 * step + k]); };
    for (std::size_t j = 0; j < 2; ++j) {
      const unsigned code = 9 * at(3 * j) + 3 * at(3 * j + 1) + at(3 * j + 2);
      or_byte(pair + (second ? 64 : 0) + i, (code & 15U) << (4 * j));
      or_byte(pair + 192 + (second ? 16 : 0) + 8 * j + i / 8, code >> 4 << (i % 8));
    }
    or_byte(pair + 128 + i, (3 * at(6) + at(7)) << (second ? 4 : 0));
  }
}

// Writes the scales of block b of one row of a type of few bits.
void place_low_scales(const LowBits& block, std::size_t b, std::size_t lane, const PackedMatrix& m,
                      std::byte* group) {
  std::byte* scales = group + m.scales_offset();
  const std::size_t halves = kernels::scales_by_16(m.type) ? 2 : 1;
  for (std::size_t h = 0; h < halves; ++h) {
    const std::size_t unit = b % 8 * halves + h;  // in a super-block
    const auto sub = static_cast<std::byte>(block.sub[h]);
    std::byte* super = scales + m.scale_bytes_before(b / 8 * kernels::kSuperK);
    if (m.type == PackedType::kU2K) {
      super[64 + unit * kGroupRows + lane] = sub | std::byte{block.min[h]} << 4;
      std::memcpy(super + lane * 2, &block.d, 2);
      std::memcpy(super + 32 + lane * 2, &block.dmin, 2);
    } else if (m.scale_type == kernels::ScaleType::kF16Odd4) {
      const auto n = static_cast<unsigned>(block.sub[h]) / 2;
      or_byte(super + 32 + unit / 2 * kGroupRows + lane, n << (unit % 2 == 0 ? 0 : 4));
      std::memcpy(super + lane * 2, &block.d, 2);
    } else if (m.type == PackedType::kU3K || m.scale_type == kernels::ScaleType::kF16I8) {
      super[32 + unit * kGroupRows + lane] = sub;
      std::memcpy(super + lane * 2, &block.d, 2);
    } else {
      std::byte* p = scales + m.scale_bytes_before((b * kBlockK + h * 16) / m.scale_k * m.scale_k);
      if (m.scale_type == kernels::ScaleType::kF16)
        std::memcpy(p + lane * 2, &block.d, 2);
      else
        p[lane] = std::byte{block.scale[h]};
    }
  }
}

// A group of a type of few bits.
void pack_group_low(TensorType type, GroupRows rows, PackedMatrix& m, std::byte* group) {
  const std::size_t blocks = elements_per_block(type) / kBlockK;
  const std::size_t bytes = bytes_per_block(type);
  const bool has_codes = kernels::bits_of(m.type) != 0;
  BlockCodes u = {};
  for (std::size_t b = 0; b < m.columns / kBlockK; ++b) {
    std::byte* to = group + b * kernels::quant_bytes(m.type);
    for (std::size_t lane = 0; lane < rows.size(); ++lane) {
      const LowBits block = read_low_bits(type, rows[lane].data + b / blocks * bytes, b % blocks);
      if (has_codes)
        std::copy_n(block.u, kBlockK, u[lane]);
      else if (m.type == PackedType::kTrit)
        place_trits(block.u, lane, b % 2 != 0, group + b / 2 * (2 * kernels::quant_bytes(m.type)));
      else
        place_grid(m.type, block, lane, to);
      place_low_scales(block, b, lane, m, group);
    }
    if (has_codes) place_codes(m.type, u, to);
  }
}

// Everything about the packed form but its bytes.
PackedMatrix packed_form(const TensorInfo& tensor) {
  PackedMatrix m;
  if (is_low_bits(tensor.type)) m = low_bits_form(tensor.type);
  // What is quantised along the other dimension is multiplied as floats.
  const bool floats = tensor.transposed && tensor.scaling.columns != 0;
  m.type = floats ? PackedType::kF32 : packed_type(tensor);
  m.rows = static_cast<std::size_t>(tensor.rows());
  m.columns = static_cast<std::size_t>(tensor.columns());
  if (floats) return m;
  if (tensor.scaling.columns != 0) {
    m.scale_type = tensor.scaling.type;
    m.scale_k = static_cast<std::size_t>(tensor.scaling.columns);
  }
  if (tensor.type == TensorType::kFp4) {
    m.codebook = kFp4Twice;
    m.scale_factor = 0.5F;
  }
  return m;
}

void pack_group(const TensorInfo& tensor, GroupRows rows, PackedMatrix& m, std::byte* group) {
  if (tensor.scaling.columns != 0) return pack_group_codes(tensor, rows, m, group);
  if (is_low_bits(tensor.type)) return pack_group_low(tensor.type, rows, m, group);
  if (kernels::has_super_blocks(m.type)) return pack_group_k(tensor.type, rows, m, group);
  if (kernels::is_quantized(m.type)) return pack_group_32(tensor.type, rows, m, group);
  if (m.type == PackedType::kF32) return pack_group_plain<4>(rows, m, group);
  pack_group_plain<2>(rows, m, group);
}

// A matrix that lies the other way round: elements as they are, or, of what is quantised, their floats.
void pack_transposed(const TensorInfo& tensor, ThreadPool& pool, PackedMatrix& m) {
  const bool floats = tensor.scaling.columns != 0;
  const std::size_t bytes = floats ? sizeof(float) : bytes_per_block(tensor.type);
  KVASIR_CHECK(tensor.rows() == tensor.shape[1], "a matrix is packed, not a stack");
  const std::vector<TensorRow> stored = rows_of(tensor, 0, tensor.columns());
  pool.parallel_for(m.groups(), 4, [&](std::size_t begin, std::size_t end, std::size_t) {
    std::vector<float> values(kGroupRows * m.columns);
    std::vector<std::byte> row(bytes * m.columns);
    for (std::size_t g = begin; g < end; ++g) {
      const std::size_t last = std::min(kGroupRows, m.rows - g * kGroupRows);
      if (floats) dequantize_rows(tensor, g * kGroupRows, last, values.data());
      for (std::size_t lane = 0; lane < last; ++lane) {
        if (floats) {
          std::memcpy(row.data(), values.data() + lane * m.columns, row.size());
        } else {
          for (std::size_t k = 0; k < m.columns; ++k)
            std::memcpy(row.data() + k * bytes, stored[k].data + (g * kGroupRows + lane) * bytes, bytes);
        }
        pack_row_plain(row.data(), bytes, lane, m, m.group(g));
      }
    }
  });
}

}  // namespace

std::size_t packed_bytes(const TensorInfo& tensor) {
  const PackedMatrix m = packed_form(tensor);
  return m.groups() * m.group_bytes();
}

Result<PackedMatrix> repack(const TensorInfo& tensor, ThreadPool& pool, AlignedBuffer place) {
  PackedMatrix m = packed_form(tensor);
  if (m.columns % kBlockK != 0) {
    return make_error(ErrorCode::kUnsupported,
                      "tensor '" + tensor.name + "' has rows of " + std::to_string(m.columns) +
                          " elements; only multiples of 32 are supported",
                      tensor.name);
  }
  KVASIR_CHECK(tensor.plus == 0, "only vectors are stored less one");
  m.data = place.size() != 0 ? std::move(place) : AlignedBuffer(m.groups() * m.group_bytes());
  KVASIR_CHECK(m.data.size() == m.groups() * m.group_bytes(), "a place is as large as what it is for");
  if (tensor.transposed) {
    pack_transposed(tensor, pool, m);
    return m;
  }
  const std::vector<TensorRow> rows = rows_of(tensor, 0, tensor.rows());
  pool.parallel_for(m.groups(), 4, [&](std::size_t begin, std::size_t end, std::size_t) {
    for (std::size_t g = begin; g < end; ++g) {
      const std::size_t first = g * kGroupRows;
      const std::size_t count = std::min(kGroupRows, m.rows - first);
      pack_group(tensor, std::span(rows).subspan(first, count), m, m.group(g));
    }
  });
  return m;
}

}  // namespace kvasir::weights
