#include "kernels/packed.h"

#include <cstring>
#include <utility>

#include "kernels/half.h"

namespace kvasir::kernels {
namespace {

template <class T>
T read_at(const std::byte* p, std::size_t index) {
  T v;
  std::memcpy(&v, p + index * sizeof(T), sizeof(T));
  return v;
}
float f16_at(const std::byte* p, std::size_t index) {
  return f16_to_f32(read_at<std::uint16_t>(p, index));
}
unsigned byte_at(const std::byte* p, std::size_t index) {
  return std::to_integer<unsigned>(p[index]);
}

// The code at place k (0..31) in lane `lane` of a block.
unsigned unpack_one(PackedType type, const std::byte* q, std::size_t lane, std::size_t k) {
  const std::size_t step = k / 4;
  const std::size_t i = lane * 4 + k % 4;
  const unsigned bits = bits_of(type);
  if (bits == 8) return byte_at(q, step * 64 + i);
  if (bits < 4) {
    unsigned u = byte_at(q, step % 2 * 64 + i) >> (step / 2 * 2) & 3U;
    if (bits == 3) u |= (byte_at(q, 128 + step * 8 + i / 8) >> (i % 8) & 1U) << 2;
    return u;
  }
  const unsigned pair = byte_at(q, step % 4 * 64 + i);
  unsigned u = step < 4 ? pair & 15U : pair >> 4;
  if (bits == 5) u |= (byte_at(q, 256 + step * 8 + i / 8) >> (i % 8) & 1U) << 4;
  if (bits == 6) u |= (byte_at(q, 256 + step / 4 * 64 + i) >> (2 * (step % 4)) & 3U) << 4;
  return u;
}

// The byte of a grid type's entry at place k (0..31) in lane `lane` of a block.
int grid_value(const PackedMatrix& m, const std::byte* q, std::size_t lane, std::size_t k) {
  const PackedType type = m.type;
  const std::size_t each = entry_k(type);
  const std::size_t j = k / each;
  const std::byte* high = q + index_low_bytes(type);
  const unsigned extra = index_bits(type) - 8;
  unsigned field = 0;
  if (extra * indices_of(type) == 4)
    field = byte_at(high, lane % 8) >> (lane < 8 ? 0 : 4) & 15U;
  else if (extra * indices_of(type) == 8)
    field = byte_at(high, lane);
  else if (extra != 0)
    field = read_at<std::uint16_t>(high, lane);
  const unsigned above = field >> (extra * j) & ((1U << extra) - 1);
  const unsigned index = byte_at(q, j * kGroupRows + lane) | above << 8;
  const std::int8_t value = m.grid->entries[index * each + k % each];
  if (moves_entries(type)) return (field >> (12 + j) & 1U) != 0 ? value - 1 : value + 1;
  const std::byte* signs = high + index_high_bytes(type);
  const std::size_t i = lane * 4 + k % 4;
  return (byte_at(signs, k / 4 * 8 + i / 8) >> (i % 8) & 1U) != 0 ? -value : value;
}

// The code at column k in lane `lane` of a group of trits.
unsigned trit_at(const std::byte* group, std::size_t lane, std::size_t k) {
  const std::byte* pair = group + k / (2 * kBlockK) * (2 * quant_bytes(PackedType::kTrit));
  const std::size_t half = k / kBlockK % 2;
  const std::size_t step = k % kBlockK / 4;
  const std::size_t i = lane * 4 + k % 4;
  if (step >= 6) {
    const unsigned code = byte_at(pair, 128 + i) >> (4 * half) & 15U;
    return static_cast<unsigned>(kTritsOfCode[code]) >> (2 * (step - 5)) & 3U;
  }
  const unsigned low = byte_at(pair, 64 * half + i) >> (step / 3 * 4) & 15U;
  const unsigned high = byte_at(pair, 192 + 8 * (2 * half + step / 3) + i / 8) >> (i % 8) & 1U;
  return static_cast<unsigned>(kTritsOfCode[low | high << 4]) >> (2 * (step % 3)) & 3U;
}

float scale_at(ScaleType type, const std::byte* p, std::size_t index) {
  switch (type) {
    case ScaleType::kF16:
      return f16_at(p, index);
    case ScaleType::kBF16:
      return bf16_to_f32(read_at<std::uint16_t>(p, index));
    case ScaleType::kF32:
      return read_at<float>(p, index);
    case ScaleType::kE8M0:
      return e8m0_to_f32(read_at<std::uint8_t>(p, index));
    default:
      return e4m3_to_f32(read_at<std::uint8_t>(p, index));
  }
}

struct ScaleMinimum {
  float scale = 0;
  float minimum = 0;
};

ScaleMinimum super_scale(const PackedMatrix& m, const std::byte* scales, std::size_t lane, std::size_t k) {
  const std::byte* super = scales + k / kSuperK * super_bytes(m.type);
  const float d = f16_at(super, lane);
  const std::size_t unit = k % kSuperK / (scales_by_16(m.type) ? 16 : 32);
  if (!is_affine(m.type)) {
    const auto sub = read_at<std::int8_t>(super + 32 + unit * kGroupRows, lane);
    return {d * static_cast<float>(sub), 0};
  }
  if (m.type == PackedType::kU2K) {
    const unsigned both = byte_at(super + 64 + unit * kGroupRows, lane);
    return {d * static_cast<float>(both & 15U), -(f16_at(super + 32, lane) * static_cast<float>(both >> 4))};
  }
  const std::byte* p = super + 64 + unit * 32;
  return {d * static_cast<float>(byte_at(p, lane)),
          -(f16_at(super + 32, lane) * static_cast<float>(byte_at(p, kGroupRows + lane)))};
}

ScaleMinimum scale_of(const PackedMatrix& m, const std::byte* group, std::size_t lane, std::size_t k) {
  const std::byte* scales = group + m.scales_offset();
  if (has_super_blocks(m.type)) return super_scale(m, scales, lane, k);
  if (m.scale_type == ScaleType::kF16I8) {
    const std::byte* super = scales + m.scale_bytes_before(k / kSuperK * kSuperK);
    const std::size_t unit = k % kSuperK / m.scale_k;
    const auto sub = read_at<std::int8_t>(super + 32 + unit * kGroupRows, lane);
    return {f16_at(super, lane) * static_cast<float>(sub) * m.scale_factor, 0};
  }
  if (m.scale_type == ScaleType::kF16Odd4) {
    const std::byte* super = scales + m.scale_bytes_before(k / kSuperK * kSuperK);
    const std::size_t unit = k % kSuperK / m.scale_k;
    const unsigned both = byte_at(super + 32 + unit / 2 * kGroupRows, lane);
    const unsigned n = unit % 2 == 0 ? both & 15U : both >> 4;
    return {f16_at(super, lane) * static_cast<float>(2 * n + 1) * m.scale_factor, 0};
  }
  const std::byte* p = scales + m.scale_bytes_before(k / m.scale_k * m.scale_k);
  const float d = scale_at(m.scale_type, p, lane);
  if (is_affine(m.type)) return {d, scale_at(m.scale_type, p, kGroupRows + lane)};
  return {has_table(m.type) || m.type == PackedType::kF8 ? d * m.scale_factor : d, 0};
}

float plain_at(PackedType type, const std::byte* p, std::size_t lane) {
  switch (type) {
    case PackedType::kF32:
      return read_at<float>(p, lane);
    case PackedType::kF16:
      return f16_at(p, lane);
    case PackedType::kBF16:
      return bf16_to_f32(read_at<std::uint16_t>(p, lane));
    default:
      return e4m3_to_f32(read_at<std::uint8_t>(p, lane));
  }
}

// The integer that column k of lane `lane` is, before its scale.
int code_at(const PackedMatrix& m, const std::byte* group, std::size_t lane, std::size_t k) {
  if (m.type == PackedType::kTrit) return static_cast<int>(trit_at(group, lane, k)) - offset_of(m.type);
  const std::byte* block = group + k / kBlockK * quant_bytes(m.type);
  if (has_grid(m.type)) return grid_value(m, block, lane, k % kBlockK);
  const unsigned u = unpack_one(m.type, block, lane, k % kBlockK);
  return has_table(m.type) ? m.codebook[u] : static_cast<int>(u) - offset_of(m.type);
}

}  // namespace

Grid::Grid(std::vector<std::int8_t> bytes) : entries(std::move(bytes)) {
  for (const std::int8_t b : entries) entries_moved.push_back(static_cast<std::uint8_t>(b + 128));
}

void dequantize_row(const PackedMatrix& m, std::size_t row, float* out) {
  const std::byte* group = m.group(row / kGroupRows);
  const std::size_t lane = row % kGroupRows;
  ScaleMinimum s;
  for (std::size_t k = 0; k < m.columns; ++k) {
    const bool scaled = is_quantized(m.type) || m.type == PackedType::kF8;
    if (scaled && k % 16 == 0) s = scale_of(m, group, lane, k);
    if (!is_quantized(m.type)) {
      out[k] = plain_at(m.type, group + k * quant_bytes(m.type), lane);
      if (scaled) out[k] *= s.scale;
      continue;
    }
    out[k] = s.scale * static_cast<float>(code_at(m, group, lane, k));
    if (is_affine(m.type)) out[k] += s.minimum;
  }
}

}  // namespace kvasir::kernels
