#include "models/ops.h"

#include <algorithm>

namespace kvasir::models {
namespace {

// gpt-oss's own constants.
constexpr float kSwigluAlpha = 1.702F;
constexpr float kSwigluLimit = 7.0F;

// Few tokens wait for the weights to be read: of so many bytes at a time, since whoever is last keeps the
// others waiting, and not of fewer, since each piece begins with a wait for memory.
constexpr std::size_t kFewTokens = 8;
constexpr std::size_t kPieceBytes = std::size_t{128} << 10;

// Products of a gate and what it gates that wait to be multiplied: beside the tokens and a panel of weights
// in a second-level cache.
constexpr std::size_t kGatedFloats = std::size_t{64} << 10;

// Groups of rows that a thread takes at a time: an even number, so that kernels which take two at a time can,
// and small enough for about eight pieces a thread, to level the load.
std::size_t groups_at_a_time(std::span<const Linear> products, std::size_t groups, std::size_t tokens,
                             std::size_t threads) {
  std::size_t most = groups / (threads * 8);
  if (tokens <= kFewTokens) {
    std::size_t bytes = 0;
    for (const Linear& p : products) bytes += p.weight->groups() * p.weight->group_bytes();
    most = std::min(most, kPieceBytes / std::max<std::size_t>(1, bytes / std::max<std::size_t>(1, groups)));
  }
  return std::max<std::size_t>(2, most / 2 * 2);
}

// The `i`-th of `count` pieces to be handed out, so that threads which take turns are far from each other:
// what stands beside each other in a cache line is written by one of them.
std::size_t spread_piece(std::size_t i, std::size_t count, std::size_t threads) {
  const std::size_t runs = std::min(threads, count);
  const std::size_t run = i % runs;
  // The first count % runs runs are one longer.
  return run * (count / runs) + std::min(run, count % runs) + i / runs;
}

}  // namespace

Ops::Ops(ThreadPool& pool, const kernels::KernelTable& table)
    : pool_(pool), table_(table), scratch_(pool.size()) {}

std::byte* Ops::scratch(std::size_t worker, std::size_t bytes) {
  if (scratch_[worker].size() < bytes) scratch_[worker] = AlignedBuffer(bytes);
  return scratch_[worker].data();
}

void Ops::quantize(Rows& x) {
  each(x.tokens(), [&](std::size_t t) { table_.quantize(x.row(t), x.quantized(), t); });
}

void Ops::norm(Rows& x, std::span<const float> weight, float epsilon, Rows& out) {
  each(x.tokens(), [&](std::size_t t) {
    table_.rms_norm(x.row(t), weight.data(), epsilon, x.columns(), out.row(t));
    table_.quantize(out.row(t), out.quantized(), t);
  });
}

void Ops::activate(Activation activation, float* gate, const float* up, std::size_t n) {
  switch (activation) {
    case Activation::kSilu:
      return table_.silu_mul(gate, up, n, gate);
    case Activation::kGeluTanh:
      return table_.gelu_mul(gate, up, n, gate);
    case Activation::kClampedSwiglu:
      return table_.clamped_swiglu(gate, up, kSwigluAlpha, kSwigluLimit, n, gate);
  }
}

void Ops::gated(Activation activation, Rows& gate, Rows& up) {
  each(gate.tokens(), [&](std::size_t t) {
    activate(activation, gate.row(t), up.row(t), gate.columns());
    table_.quantize(gate.row(t), gate.quantized(), t);
  });
}

void Ops::gated_linear(Activation activation, const kernels::PackedMatrix& gate,
                       const kernels::PackedMatrix& up, Rows& x, Rows& out) {
  constexpr std::size_t kGroups = kernels::kBlockK / kernels::kGroupRows;  // of a block of the result
  const std::size_t tokens = x.tokens();
  const std::size_t blocks = out.columns() / kernels::kBlockK;
  const Linear both[] = {{&gate, {}}, {&up, {}}};
  const std::size_t of_piece =
      std::max<std::size_t>(1, groups_at_a_time(both, gate.groups(), tokens, pool_.size()) / kGroups);
  const std::size_t at_once =
      std::clamp<std::size_t>(kGatedFloats / (2 * kernels::kBlockK * tokens), 1, of_piece);
  const std::size_t pieces = (blocks + of_piece - 1) / of_piece;
  const std::size_t matmul_bytes = (kernels::matmul_scratch_bytes(x.columns()) + 63) / 64 * 64;
  const std::size_t floats = at_once * kernels::kBlockK * tokens;
  pool_.parallel_for(pieces, 1, [&](std::size_t begin, std::size_t end, std::size_t worker) {
    std::byte* own = scratch(worker, matmul_bytes + 2 * floats * sizeof(float));
    auto* gates = reinterpret_cast<float*>(own + matmul_bytes);
    float* ups = gates + floats;
    for (std::size_t i = begin; i < end; ++i) {
      const std::size_t piece = spread_piece(i, pieces, pool_.size());
      const std::size_t last = std::min(blocks, (piece + 1) * of_piece);
      for (std::size_t b = piece * of_piece; b < last; b += at_once) {
        const std::size_t count = std::min(at_once, last - b);
        const std::size_t width = count * kernels::kBlockK;
        const std::size_t first_row = b * kernels::kBlockK;
        product(gate, b * kGroups, (b + count) * kGroups, x, 0, tokens,
                {gates, width, nullptr, false, first_row}, own);
        product(up, b * kGroups, (b + count) * kGroups, x, 0, tokens, {ups, width, nullptr, false, first_row},
                own);
        for (std::size_t t = 0; t < tokens; ++t) {
          activate(activation, gates + t * width, ups + t * width, width);
          table_.quantize_blocks(gates + t * width, out.quantized(), t, b, count);
        }
      }
    }
  });
}

void Ops::add(Rows& x, Rows& y, std::span<const float> norm_weight, float epsilon, float scale) {
  each(x.tokens(), [&](std::size_t t) {
    if (!norm_weight.empty()) table_.rms_norm(y.row(t), norm_weight.data(), epsilon, y.columns(), y.row(t));
    table_.add_scaled(x.row(t), y.row(t), scale, x.columns());
  });
}

void Ops::product(const kernels::PackedMatrix& w, std::size_t first, std::size_t last, Rows& x,
                  std::size_t first_row, std::size_t rows, const kernels::MatmulOutput& out,
                  std::byte* scratch) {
  if (kernels::is_quantized(w.type))
    table_.matmul(w, first, last, x.quantized_from(first_row), rows, out, scratch);
  else
    table_.matmul_float(w, first, last, x.row(first_row), x.columns(), rows, out);
}

void Ops::linear(std::span<const Linear> products, Rows& x) {
  std::size_t total = 0;
  for (const Linear& p : products) total += p.weight->groups();
  const std::size_t chunk = groups_at_a_time(products, total, x.tokens(), pool_.size());
  pool_.parallel_for(total, chunk, [&](std::size_t begin, std::size_t end, std::size_t worker) {
    std::byte* own = scratch(worker, kernels::matmul_scratch_bytes(x.columns()));
    std::size_t first = 0;
    for (const Linear& p : products) {
      const std::size_t last = first + p.weight->groups();
      const std::size_t from = std::max(begin, first);
      const std::size_t to = std::min(end, last);
      const std::size_t rows = p.rows == Linear::kAllRows ? x.tokens() : p.rows;
      if (from < to) product(*p.weight, from - first, to - first, x, p.first_row, rows, p.out, own);
      first = last;
    }
  });
}

}  // namespace kvasir::models
