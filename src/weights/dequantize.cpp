#include "weights/dequantize.h"

#include <algorithm>

#include "kernels/half.h"
#include "weights/blocks.h"

namespace kvasir::weights {
namespace {

using kernels::f16_to_f32;

float f16(const std::byte* p, std::size_t offset) {
  return f16_to_f32(read_at<std::uint16_t>(p, offset));
}

// Blocks of 32 with a scale of their own.
void decode_32(TensorType type, const std::byte* p, float* out) {
  std::uint8_t u[32];
  const float d = f16(p, 0);
  switch (type) {
    case TensorType::kQ4_0:
      unpack_nibbles(p + 2, u);
      for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(u[i] - 8);
      return;
    case TensorType::kQ4_1:
      unpack_nibbles(p + 4, u);
      for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(u[i]) + f16(p, 2);
      return;
    case TensorType::kQ5_0:
      unpack_nibbles(p + 6, u);
      or_fifth_bits(read_at<std::uint32_t>(p, 2), u);
      for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(u[i] - 16);
      return;
    case TensorType::kQ5_1:
      unpack_nibbles(p + 8, u);
      or_fifth_bits(read_at<std::uint32_t>(p, 4), u);
      for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(u[i]) + f16(p, 2);
      return;
    default:  // kQ8_0
      for (std::size_t i = 0; i < 32; ++i) out[i] = d * static_cast<float>(read_at<std::int8_t>(p, 2 + i));
  }
}

void decode_256(TensorType type, const std::byte* p, float* out) {
  std::uint8_t u[32];
  for (std::size_t b = 0; b < 8; ++b, out += 32) {
    if (type == TensorType::kQ6_K) {
      unpack_k6(p, b, u);
      const float d = f16(p, 208);
      for (std::size_t i = 0; i < 32; ++i) {
        const auto scale = static_cast<float>(read_at<std::int8_t>(p, 192 + b * 2 + i / 16));
        out[i] = d * scale * static_cast<float>(u[i] - 32);
      }
      continue;
    }
    const bool five = type == TensorType::kQ5_K;
    unpack_k45(p + (five ? 48 : 16), five ? p + 16 : nullptr, b, u);
    const ScaleMin sm = scale_min(p + 4, b);
    const float scale = f16(p, 0) * static_cast<float>(sm.scale);
    const float minimum = f16(p, 2) * static_cast<float>(sm.min);
    for (std::size_t i = 0; i < 32; ++i) out[i] = scale * static_cast<float>(u[i]) - minimum;
  }
}

// `count` elements, a multiple of the type's block.
void decode(TensorType type, const std::byte* data, std::size_t count, float* out) {
  const std::size_t elements = elements_per_block(type);
  const std::size_t bytes = bytes_per_block(type);
  for (std::size_t i = 0; i < count; i += elements, data += bytes, out += elements) {
    switch (type) {
      case TensorType::kF32:
        *out = read_at<float>(data, 0);
        break;
      case TensorType::kF16:
        *out = f16(data, 0);
        break;
      case TensorType::kBF16:
        *out = kernels::bf16_to_f32(read_at<std::uint16_t>(data, 0));
        break;
      default:
        if (elements == 32)
          decode_32(type, data, out);
        else
          decode_256(type, data, out);
    }
  }
}

}  // namespace

void dequantize_rows(const TensorInfo& tensor, std::uint64_t first, std::uint64_t count, float* out) {
  const auto columns = static_cast<std::size_t>(tensor.columns());
  for (const TensorPart& part : tensor.parts) {
    if (count == 0) return;
    if (first >= part.rows) {
      first -= part.rows;
      continue;
    }
    const std::uint64_t n = std::min(count, part.rows - first);
    const std::size_t elements = static_cast<std::size_t>(n) * columns;
    decode(tensor.type, part.slice(first, n).data.data(), elements, out);
    if (tensor.plus != 0) {
      for (std::size_t i = 0; i < elements; ++i) out[i] += tensor.plus;
    }
    out += elements;
    count -= n;
    first = 0;
  }
}

std::vector<float> dequantize(const TensorInfo& tensor) {
  std::vector<float> out(static_cast<std::size_t>(tensor.columns() * tensor.rows()));
  dequantize_rows(tensor, 0, tensor.rows(), out.data());
  return out;
}

}  // namespace kvasir::weights
