#include "weights/recode.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <deque>

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

Way way_of(const RecodeJob& job, const TensorInfo& t) {
  if (t.plus != job.minus || t.transposed || job.log_of_negative) return Way::kQuantize;
  if (job.columns.kind != RowOrder::Kind::kSame) {
    // Whole blocks move as they are.
    const std::size_t block = elements_per_block(t.type);
    if (block == 0 || job.columns.head_rows % block != 0) return Way::kQuantize;
  }
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

// What rows come from.
struct Source {
  const TensorInfo* tensor;
  Way way;
};

void recode_row(const RecodeJob& job, const Source& from, std::uint64_t source, const Places& to,
                std::vector<float>& scratch) {
  const auto& [tensor, way] = from;
  const TensorInfo& t = *tensor;
  const auto columns = static_cast<std::size_t>(t.columns());
  if (way == Way::kQuantize) {
    scratch.resize(columns);
    dequantize_rows(t, source, 1, scratch.data());
    for (float& v : scratch) v = job.log_of_negative ? std::log(-v) : v - job.minus;
    if (job.columns.kind != RowOrder::Kind::kSame) {
      const std::vector<float> before = scratch;
      for (std::size_t c = 0; c < columns; ++c)
        scratch[c] = before[static_cast<std::size_t>(job.columns.source_row(c))];
    }
    if (job.form.is_affine())
      quantize_affine_row(job.form.affine, scratch, to.codes, to.scales, to.biases);
    else
      quantize_row(job.form.type, scratch, to.codes);
    return;
  }
  TensorRow row = rows_of(t, source, 1).front();
  std::vector<std::byte> moved;
  if (job.columns.kind != RowOrder::Kind::kSame) {
    const std::size_t chunk = job.columns.head_rows;
    const std::size_t bytes = chunk / elements_per_block(t.type) * bytes_per_block(t.type);
    for (std::size_t c = 0; c < columns; c += chunk) {
      const std::byte* from_here = row.data + job.columns.source_row(c) / chunk * bytes;
      moved.insert(moved.end(), from_here, from_here + bytes);
    }
    row.data = moved.data();
  }
  if (way == Way::kBlocksToAffine) return blocks_to_affine(t, job.form, row, to.codes, to.scales, to.biases);
  if (way == Way::kAffineToBlocks) return affine_to_blocks(t, job.form, row, to.codes);
  std::memcpy(to.codes, row.data, job.form.row_bytes(columns));
  if (way == Way::kCopyAffine) {
    const std::size_t groups = columns / job.form.affine.group;
    std::memcpy(to.scales, row.scales, groups * 2);
    std::memcpy(to.biases, row.biases, groups * 2);
  }
}

// Where the rows of a job lie: in its tensor, or in turn in those of its runs.
class Rows {
 public:
  explicit Rows(const RecodeJob& job) : job_(job) {
    if (job.runs.empty()) sources_.push_back({job.tensor, way_of(job, *job.tensor)});
    for (const RowRun& r : job.runs) {
      const TensorInfo* t = as_floats(*r.tensor);
      sources_.push_back({t, way_of(job, *t)});
      height_ += r.rows;
    }
  }

  std::size_t columns() const { return static_cast<std::size_t>(sources_.front().tensor->columns()); }

  std::pair<const Source*, std::uint64_t> at(std::uint64_t row) const {
    if (job_.runs.empty()) return {sources_.data(), job_.first + job_.order.source_row(row)};
    const std::uint64_t block = row / height_;
    std::uint64_t within = row % height_;
    std::size_t run = 0;
    for (; within >= job_.runs[run].rows; ++run) within -= job_.runs[run].rows;
    return {&sources_[run], job_.runs[run].first + block * job_.runs[run].step + within};
  }

 private:
  // Blocks cannot be read the other way round: what they say can.
  const TensorInfo* as_floats(const TensorInfo& t) {
    if (!t.transposed || t.scaling.columns != 0 || elements_per_block(t.type) == 1) return &t;
    TensorInfo stored = t;
    std::swap(stored.shape[0], stored.shape[1]);
    stored.transposed = false;
    floats_.push_back(dequantize(stored));
    TensorInfo& plain = made_.emplace_back(t);
    plain.type = TensorType::kF32;
    TensorPart part;
    part.rows = stored.rows();
    part.data = std::as_bytes(std::span(floats_.back()));
    plain.parts = {part};
    return &plain;
  }

  const RecodeJob& job_;
  std::vector<Source> sources_;
  std::deque<std::vector<float>> floats_;
  std::deque<TensorInfo> made_;
  std::uint64_t height_ = 0;  // of a block
};

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
  if (kind == Kind::kSame || row < before) return row;
  if (kind == Kind::kHeads) {
    const std::uint64_t at = (row - before) / head_rows;
    return before + (at % inner * outer + at / inner) * head_rows + (row - before) % head_rows;
  }
  const std::uint64_t head = row / head_rows * head_rows;
  const std::uint64_t r = row % head_rows;
  const std::uint64_t half = head_rows / 2;
  // Pairs: rows 2i and 2i + 1 belong together; halves: i and i + half.
  if (kind == Kind::kHalvesToPairs) return head + r / 2 + r % 2 * half;
  return head + r % half * 2 + r / half;
}

RowOrder rotary_order(const Checkpoint& file, const TensorInfo& t, RowOrder::Kind kind) {
  if (t.name.find(".attn_q.") == std::string::npos && t.name.find(".attn_k.") == std::string::npos) return {};
  const std::string family(file.string("general.architecture").value_or(""));
  const auto heads = std::max<std::uint64_t>(1, file.integer(family + ".attention.head_count").value_or(1));
  const auto width = file.integer(family + ".embedding_length").value_or(0);
  const auto head = file.integer(family + ".attention.key_length").value_or(width / heads);
  return {kind, static_cast<std::size_t>(head)};
}

HeadOrder head_order(const Checkpoint& file, const TensorInfo& t, bool to_gguf) {
  const std::string family(file.string("general.architecture").value_or(""));
  if (!family.starts_with("qwen35")) return {};
  const auto size = [&](const char* key) {
    return static_cast<std::size_t>(
        std::max<std::uint64_t>(1, file.integer(family + ".ssm." + key).value_or(1)));
  };
  const std::size_t groups = size("group_count");
  const std::size_t heads = size("time_step_rank");
  const std::size_t share = std::max<std::size_t>(1, heads / groups);
  RowOrder order{RowOrder::Kind::kHeads, size("inner_size") / heads, groups, share, 0};
  if (to_gguf) std::swap(order.outer, order.inner);
  const auto is = [&](std::initializer_list<std::string_view> ends) {
    return std::ranges::any_of(ends, [&](std::string_view end) { return t.name.ends_with(end); });
  };
  if (is({".ssm_out.weight"})) return {{}, order};
  if (is({".attn_gate.weight"})) return {order, {}};
  if (is({".attn_qkv.weight", ".ssm_conv1d.weight"})) {
    order.before = 2 * groups * size("state_size");
    return {order, {}};
  }
  order.head_rows = 1;
  if (is({".ssm_alpha.weight", ".ssm_beta.weight", ".ssm_a", ".ssm_dt.bias"})) return {order, {}};
  return {};
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
  if (asked.runs.empty() && asked.order.kind != RowOrder::Kind::kSame && asked.tensor->shape.size() == 1) {
    column = as_column(*asked.tensor);
    job.tensor = &column;
    job.rows = column.rows();
  }
  const Rows source(job);
  const std::size_t columns = source.columns();
  const std::size_t row_bytes = job.form.row_bytes(columns);
  const std::size_t groups = job.form.is_affine() ? columns / job.form.affine.group : 0;
  const std::uint64_t at_once =
      std::clamp<std::uint64_t>(kBytesAtOnce / (columns * sizeof(float)), 1, job.rows);
  std::vector<std::byte> codes(static_cast<std::size_t>(at_once) * row_bytes);
  std::vector<std::uint16_t> scales(static_cast<std::size_t>(at_once) * groups);
  std::vector<std::uint16_t> biases(scales.size());
  for (std::uint64_t done = 0; done < job.rows; done += at_once) {
    const auto n = static_cast<std::size_t>(std::min(at_once, job.rows - done));
    pool.parallel_for(n, 8, [&](std::size_t begin, std::size_t end, std::size_t) {
      std::vector<float> scratch;
      for (std::size_t i = begin; i < end; ++i) {
        const auto& [from, row] = source.at(done + i);
        recode_row(job, *from, row,
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
