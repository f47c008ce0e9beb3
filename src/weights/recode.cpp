#include "weights/recode.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "kernels/half.h"
#include "weights/blocks.h"
#include "weights/codes.h"
#include "weights/dequantize.h"

namespace kvasir::weights {
namespace {

using kernels::f16_to_f32;
using kernels::f32_to_f16;

constexpr std::size_t kBlock = 32;
constexpr std::size_t kBytesAtOnce = std::size_t{8} << 20;  // of floats

// 32 weights as w = scale * u + min.
struct AffineBlock {
  std::uint8_t u[kBlock];
  float scale;
  float min;
};

bool is_block_32(TensorType t) {
  return t == TensorType::kQ4_0 || t == TensorType::kQ4_1 || t == TensorType::kQ5_0 ||
         t == TensorType::kQ5_1 || t == TensorType::kQ8_0;
}

AffineBlock read_block(TensorType type, const std::byte* p) {
  AffineBlock b{};
  b.scale = f16_to_f32(read_at<std::uint16_t>(p, 0));
  switch (type) {
    case TensorType::kQ4_0:
      unpack_nibbles(p + 2, b.u);
      b.min = -8 * b.scale;
      return b;
    case TensorType::kQ4_1:
      unpack_nibbles(p + 4, b.u);
      b.min = f16_to_f32(read_at<std::uint16_t>(p, 2));
      return b;
    case TensorType::kQ5_0:
      unpack_nibbles(p + 6, b.u);
      or_fifth_bits(read_at<std::uint32_t>(p, 2), b.u);
      b.min = -16 * b.scale;
      return b;
    case TensorType::kQ5_1:
      unpack_nibbles(p + 8, b.u);
      or_fifth_bits(read_at<std::uint32_t>(p, 4), b.u);
      b.min = f16_to_f32(read_at<std::uint16_t>(p, 2));
      return b;
    default:  // kQ8_0
      for (std::size_t i = 0; i < kBlock; ++i)
        b.u[i] = static_cast<std::uint8_t>(read_at<std::int8_t>(p, 2 + i) + 128);
      b.min = -128 * b.scale;
      return b;
  }
}

// Blocks of GGUF with one scale for 32 -> MLX's codes in groups of 32.
void blocks_to_affine(const TensorInfo& t, const Form& form, const TensorRow& row, std::byte* codes,
                      std::uint16_t* scales, std::uint16_t* biases) {
  std::uint32_t held = 0;
  unsigned count = 0;
  for (std::size_t g = 0; g < t.columns() / kBlock; ++g) {
    const AffineBlock b = read_block(t.type, row.data + g * bytes_per_block(t.type));
    scales[g] = f32_to_f16(b.scale);
    biases[g] = f32_to_f16(b.min);
    for (const std::uint8_t u : b.u) {
      held |= static_cast<std::uint32_t>(u) << count;
      for (count += form.affine.bits; count >= 8; count -= 8, held >>= 8)
        *codes++ = static_cast<std::byte>(held & 255U);
    }
  }
}

// MLX's codes of up to 4, or 5 bits -> Q4_1, Q5_1.
void affine_to_blocks(const TensorInfo& t, const Form& form, const TensorRow& row, std::byte* out) {
  const bool five = form.type == TensorType::kQ5_1;
  std::uint8_t u[kBlock];
  for (std::size_t k = 0; k < t.columns(); k += kBlock, out += bytes_per_block(form.type)) {
    unpack_codes(row.data, t.scaling.bits, k, u);
    const auto group = static_cast<std::size_t>(k / t.scaling.columns);
    const std::uint16_t d = f32_to_f16(scale_at(t.scaling.type, row.scales, group));
    const std::uint16_t m = f32_to_f16(scale_at(t.scaling.type, row.biases, group));
    std::memcpy(out, &d, 2);
    std::memcpy(out + 2, &m, 2);
    std::uint32_t fifth = 0;
    for (std::size_t i = 0; i < kBlock; ++i) fifth |= (static_cast<std::uint32_t>(u[i]) >> 4 & 1U) << i;
    if (five) std::memcpy(out + 4, &fifth, 4);
    std::byte* nibbles = out + (five ? 8 : 4);
    for (std::size_t i = 0; i < 16; ++i)
      nibbles[i] = static_cast<std::byte>((u[i] & 15U) | (u[i + 16] & 15U) << 4);
  }
}

bool same_form(const Form& a, const Form& b) {
  return a.type == b.type &&
         (!a.is_affine() || (a.affine.bits == b.affine.bits && a.affine.group == b.affine.group &&
                             a.affine.scales == b.affine.scales));
}

// How a job's rows are made.
enum class Way { kCopy, kBlocksToAffine, kAffineToBlocks, kCopyAffine, kQuantize };

Way way_of(const RecodeJob& job) {
  const TensorInfo& t = *job.tensor;
  if (t.plus != 0 || job.minus != 0 || t.transposed) return Way::kQuantize;
  if (!job.form.is_affine() && t.type == job.form.type) return Way::kCopy;
  const auto gguf = exact_gguf_form(t);
  if (gguf && same_form(*gguf, job.form)) return Way::kAffineToBlocks;
  const auto mlx = exact_mlx_form(t);
  if (mlx && same_form(*mlx, job.form))
    return t.type == TensorType::kAffine ? Way::kCopyAffine : Way::kBlocksToAffine;
  return Way::kQuantize;
}

// One row into its places.
struct Places {
  std::byte* codes;
  std::uint16_t* scales;
  std::uint16_t* biases;
};

void recode_row(const RecodeJob& job, Way way, std::uint64_t source, const Places& to,
                std::vector<float>& scratch) {
  const TensorInfo& t = *job.tensor;
  const auto columns = static_cast<std::size_t>(t.columns());
  if (way == Way::kQuantize) {
    scratch.resize(columns);
    dequantize_rows(t, source, 1, scratch.data());
    for (float& v : scratch) v -= job.minus;
    if (job.form.is_affine())
      quantize_affine_row(job.form.affine, scratch, to.codes, to.scales, to.biases);
    else
      quantize_row(job.form.type, scratch, to.codes);
    return;
  }
  const TensorRow row = rows_of(t, source, 1).front();
  if (way == Way::kBlocksToAffine) return blocks_to_affine(t, job.form, row, to.codes, to.scales, to.biases);
  if (way == Way::kAffineToBlocks) return affine_to_blocks(t, job.form, row, to.codes);
  std::memcpy(to.codes, row.data, job.form.row_bytes(columns));
  if (way == Way::kCopyAffine) {
    const std::size_t groups = columns / job.form.affine.group;
    std::memcpy(to.scales, row.scales, groups * 2);
    std::memcpy(to.biases, row.biases, groups * 2);
  }
}

// A vector as rows of one element.
TensorInfo as_column(const TensorInfo& vector) {
  TensorInfo column = vector;
  column.shape = {1, vector.columns()};
  column.parts.front().rows = vector.columns();
  return column;
}

}  // namespace

std::size_t Form::row_bytes(std::size_t columns) const {
  if (is_affine()) return columns * affine.bits / 8;
  return columns / elements_per_block(type) * bytes_per_block(type);
}

std::uint64_t RowOrder::source_row(std::uint64_t row) const {
  if (kind == Kind::kSame) return row;
  const std::uint64_t head = row / head_rows * head_rows;
  const std::uint64_t r = row % head_rows;
  const std::uint64_t half = head_rows / 2;
  // Pairs: rows 2i and 2i + 1 belong together; halves: i and i + half.
  if (kind == Kind::kHalvesToPairs) return head + r / 2 + r % 2 * half;
  return head + r % half * 2 + r / half;
}

RowOrder rotary_order(const Checkpoint& file, const TensorInfo& t, RowOrder::Kind kind) {
  const bool q = t.name.find(".attn_q.") != std::string::npos;
  if (!q && t.name.find(".attn_k.") == std::string::npos) return {};
  const std::string family(file.string("general.architecture").value_or(""));
  const auto all = file.integer(family + ".attention.head_count").value_or(1);
  const auto heads = q ? all : file.integer(family + ".attention.head_count_kv").value_or(all);
  const std::uint64_t rows = t.shape.size() == 1 ? t.columns() : t.rows();
  return {kind, static_cast<std::size_t>(rows / std::max<std::uint64_t>(1, heads))};
}

std::optional<Form> exact_gguf_form(const TensorInfo& t) {
  if (t.transposed && t.scaling.columns != 0) return std::nullopt;
  if (t.type == TensorType::kAffine) {
    // Fewer codes than the type has: the upper ones are not used.
    if (t.scaling.bits <= 4) return Form{TensorType::kQ4_1, {}};
    if (t.scaling.bits == 5) return Form{TensorType::kQ5_1, {}};
    return std::nullopt;
  }
  if (t.type == TensorType::kFp4 || t.type == TensorType::kFp8) return std::nullopt;
  return Form{t.type, {}};
}

std::optional<Form> exact_mlx_form(const TensorInfo& t) {
  using kernels::ScaleType;
  if (t.transposed && t.scaling.columns != 0) return std::nullopt;
  if (elements_per_block(t.type) == 1) return Form{t.type, {}};
  if (is_block_32(t.type)) {
    const unsigned bits = t.type == TensorType::kQ8_0                                  ? 8
                          : t.type == TensorType::kQ5_0 || t.type == TensorType::kQ5_1 ? 5
                                                                                       : 4;
    return Form{TensorType::kAffine, {bits, kBlock, ScaleType::kF16}};
  }
  if (t.type == TensorType::kAffine && t.scaling.type != ScaleType::kF32 &&
      t.columns() % t.scaling.columns == 0) {
    return Form{TensorType::kAffine,
                {t.scaling.bits, static_cast<std::size_t>(t.scaling.columns), t.scaling.type}};
  }
  return std::nullopt;
}

Status recode(const RecodeJob& asked, ThreadPool& pool,
              const std::function<Status(const RecodedRows&)>& sink) {
  RecodeJob job = asked;
  TensorInfo column;
  if (asked.order.kind != RowOrder::Kind::kSame && asked.tensor->shape.size() == 1) {
    column = as_column(*asked.tensor);
    job.tensor = &column;
    job.rows = column.rows();
  }
  const auto columns = static_cast<std::size_t>(job.tensor->columns());
  const std::size_t row_bytes = job.form.row_bytes(columns);
  const std::size_t groups = job.form.is_affine() ? columns / job.form.affine.group : 0;
  const std::uint64_t at_once =
      std::clamp<std::uint64_t>(kBytesAtOnce / (columns * sizeof(float)), 1, job.rows);
  const Way way = way_of(job);
  std::vector<std::byte> codes(static_cast<std::size_t>(at_once) * row_bytes);
  std::vector<std::uint16_t> scales(static_cast<std::size_t>(at_once) * groups);
  std::vector<std::uint16_t> biases(scales.size());
  for (std::uint64_t done = 0; done < job.rows; done += at_once) {
    const auto n = static_cast<std::size_t>(std::min(at_once, job.rows - done));
    pool.parallel_for(n, 8, [&](std::size_t begin, std::size_t end, std::size_t) {
      std::vector<float> scratch;
      for (std::size_t i = begin; i < end; ++i) {
        const std::uint64_t source = job.first + job.order.source_row(done + i);
        recode_row(job, way, source,
                   {codes.data() + i * row_bytes, scales.data() + i * groups, biases.data() + i * groups},
                   scratch);
      }
    });
    KVASIR_RETURN_IF_ERROR(sink({std::span(codes).first(n * row_bytes), std::span(scales).first(n * groups),
                                 std::span(biases).first(n * groups)}));
  }
  return {};
}

}  // namespace kvasir::weights
