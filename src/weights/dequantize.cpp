#include "weights/dequantize.h"

#include <algorithm>

#include "base/check.h"
#include "kernels/half.h"
#include "weights/blocks.h"
#include "weights/codes.h"
#include "weights/low_bits.h"

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

// A type of few bits: 32 values of its block.
void decode_low_bits(TensorType type, const std::byte* p, std::size_t b, float* out) {
  using kernels::PackedType;
  const kernels::PackedMatrix form = low_bits_form(type);
  const LowBits block = read_low_bits(type, p, b);
  const bool table = kernels::has_table(form.type) || kernels::has_grid(form.type);
  const bool halves = kernels::scales_by_16(form.type);
  const int offset = kernels::offset_of(form.type);
  for (std::size_t i = 0; i < 32; ++i) {
    const std::size_t h = halves ? i / 16 : 0;
    const bool stored =
        form.scale_type == kernels::ScaleType::kE8M0 || form.scale_type == kernels::ScaleType::kE4M3;
    const float d = stored ? scale_at(form.scale_type, reinterpret_cast<const std::byte*>(block.scale), h)
                           : kernels::f16_to_f32(block.d) * static_cast<float>(block.sub[h]);
    const int code = table ? codebook_of(type).values[block.u[i]] : block.u[i] - offset;
    out[i] = d * form.scale_factor * static_cast<float>(code);
    if (form.type == PackedType::kU2K) {
      out[i] -= kernels::f16_to_f32(block.dmin) * static_cast<float>(block.min[h]);
    }
  }
}

// A row of a type whose blocks hold all.
void decode_blocks(TensorType type, const std::byte* data, std::size_t columns, float* out) {
  const std::size_t elements = elements_per_block(type);
  const std::size_t bytes = bytes_per_block(type);
  const bool low = is_low_bits(type);
  for (std::size_t i = 0; i < columns; i += elements, data += bytes, out += elements) {
    if (low) {
      for (std::size_t b = 0; b < elements / 32; ++b) decode_low_bits(type, data, b, out + 32 * b);
      continue;
    }
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

// The columns [from, to) of a row of a type whose scales lie apart; `from` is a multiple of 32.
void decode_codes(const TensorInfo& tensor, const TensorRow& row, std::size_t from, std::size_t to,
                  float* out) {
  const Scaling& s = tensor.scaling;
  std::uint8_t u[32];
  for (std::size_t k = from; k < to; ++k) {
    if (k % 32 == 0) unpack_codes(row.data, s.bits, k, u);
    const auto unit = static_cast<std::size_t>(k / s.columns);
    const float d = scale_at(s.type, row.scales, unit);
    const unsigned code = u[k % 32];
    float& w = out[k - from];
    if (tensor.type == TensorType::kAffine)
      w = d * static_cast<float>(code) + scale_at(s.type, row.biases, unit);
    else if (tensor.type == TensorType::kFp4)
      w = d * 0.5F * static_cast<float>(kFp4Twice[code]);
    else
      w = kernels::e4m3_to_f32(static_cast<std::uint8_t>(code)) * d;
  }
}

// Rows of a tensor whose matrices lie the other way round: columns of what lies there, 32 at a time.
void decode_transposed(const TensorInfo& tensor, std::uint64_t first, std::uint64_t count, float* out) {
  const auto columns = static_cast<std::size_t>(tensor.shape[0]);
  const auto height = static_cast<std::size_t>(tensor.shape[1]);  // rows of a matrix, columns of the file's
  const std::size_t bytes = bytes_per_block(tensor.type);
  KVASIR_CHECK(tensor.scaling.columns != 0 || elements_per_block(tensor.type) == 1,
               "types of blocks lie as they are read");
  float values[32];
  for (std::uint64_t done = 0; done < count;) {
    const std::uint64_t matrix = (first + done) / height;
    const auto row = static_cast<std::size_t>((first + done) % height);
    const std::size_t block = row / 32 * 32;
    const std::size_t end = std::min(block + 32, height);
    const auto rows = static_cast<std::size_t>(std::min<std::uint64_t>(end - row, count - done));
    const std::vector<TensorRow> stored = rows_of(tensor, matrix * columns, columns);
    for (std::size_t c = 0; c < columns; ++c) {
      if (tensor.scaling.columns != 0)
        decode_codes(tensor, stored[c], block, end, values);
      else
        decode_blocks(tensor.type, stored[c].data + block * bytes, end - block, values);
      for (std::size_t i = 0; i < rows; ++i) out[i * columns + c] = values[row - block + i];
    }
    out += rows * columns;
    done += rows;
  }
}

}  // namespace

void dequantize_rows(const TensorInfo& tensor, std::uint64_t first, std::uint64_t count, float* out) {
  const auto columns = static_cast<std::size_t>(tensor.columns());
  if (tensor.transposed) return decode_transposed(tensor, first, count, out);
  for (const TensorRow& row : rows_of(tensor, first, count)) {
    if (tensor.scaling.columns != 0)
      decode_codes(tensor, row, 0, columns, out);
    else
      decode_blocks(tensor.type, row.data, columns, out);
    if (tensor.plus != 0) {
      for (std::size_t i = 0; i < columns; ++i) out[i] += tensor.plus;
    }
    out += columns;
  }
}

std::vector<float> dequantize(const TensorInfo& tensor) {
  std::vector<float> out(static_cast<std::size_t>(tensor.columns() * tensor.rows()));
  dequantize_rows(tensor, 0, tensor.rows(), out.data());
  return out;
}

}  // namespace kvasir::weights
