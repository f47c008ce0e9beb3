#include "kernels/packed.h"

#include <cstring>

#include "kernels/half.h"

namespace kvasir::kernels {
namespace {

float f16_at(const std::byte* p, std::size_t index) {
  std::uint16_t h = 0;
  std::memcpy(&h, p + index * sizeof(h), sizeof(h));
  return f16_to_f32(h);
}

unsigned byte_at(const std::byte* p, std::size_t index) {
  return std::to_integer<unsigned>(p[index]);
}

// u of place k (0..31) in lane `lane` of a block.
unsigned unpack_one(PackedType type, const std::byte* q, std::size_t lane, std::size_t k) {
  const std::size_t step = k / 4;
  const std::size_t i = lane * 4 + k % 4;
  if (type == PackedType::kU8Sym) return byte_at(q, step * 64 + i);
  const unsigned pair = byte_at(q, step % 4 * 64 + i);
  unsigned u = step < 4 ? pair & 15U : pair >> 4;
  if (quant_bytes(type) == 320) u |= (byte_at(q, 256 + step * 8 + i / 8) >> (i % 8) & 1U) << 4;
  if (type == PackedType::kU6K) u |= (byte_at(q, 256 + step / 4 * 64 + i) >> (2 * (step % 4)) & 3U) << 4;
  return u;
}

}  // namespace

void dequantize_row(const PackedMatrix& m, std::size_t row, float* out) {
  const std::byte* group = m.group(row / kGroupRows);
  const std::size_t lane = row % kGroupRows;
  if (!is_quantized(m.type)) {
    for (std::size_t k = 0; k < m.columns; ++k) {
      const std::byte* p = group + k * quant_bytes(m.type);
      if (m.type == PackedType::kF32) {
        std::memcpy(out + k, p + lane * sizeof(float), sizeof(float));
      } else if (m.type == PackedType::kF16) {
        out[k] = f16_at(p, lane);
      } else {
        std::uint16_t h = 0;
        std::memcpy(&h, p + lane * sizeof(h), sizeof(h));
        out[k] = bf16_to_f32(h);
      }
    }
    return;
  }
  const int offset = offset_of(m.type);
  for (std::size_t k = 0; k < m.columns; ++k) {
    const std::size_t b = k / kBlockK;
    const unsigned u = unpack_one(m.type, group + b * quant_bytes(m.type), lane, k % kBlockK);
    const auto centred = static_cast<float>(static_cast<int>(u) - offset);
    const std::byte* scales = group + m.scales_offset();
    if (!has_super_blocks(m.type)) {
      const std::byte* s = scales + b * scale_bytes(m.type);
      const float minimum = offset == 0 ? f16_at(s + 32, lane) : 0.0F;
      out[k] = f16_at(s, lane) * centred + minimum;
      continue;
    }
    const std::byte* super = scales + b / 8 * scale_bytes(m.type);
    const float d = f16_at(super, lane);
    if (m.type == PackedType::kU6K) {
      const std::byte* sc = super + 32 + (k / 16 % 16) * 16;
      out[k] = d * static_cast<float>(static_cast<std::int8_t>(byte_at(sc, lane))) * centred;
    } else {
      const std::byte* sc = super + 64 + b % 8 * 32;
      const float scale = d * static_cast<float>(byte_at(sc, lane));
      const float minimum = f16_at(super + 32, lane) * static_cast<float>(byte_at(sc, 16 + lane));
      out[k] = scale * centred - minimum;
    }
  }
}

}  // namespace kvasir::kernels
