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

void Ops::gated(Activation activation, Rows& gate, Rows& up) {
  const std::size_t n = gate.columns();
  each(gate.tokens(), [&](std::size_t t) {
    float* g = gate.row(t);
    switch (activation) {
      case Activation::kSilu:
        table_.silu_mul(g, up.row(t), n, g);
        break;
      case Activation::kGeluTanh:
        table_.gelu_mul(g, up.row(t), n, g);
        break;
      case Activation::kClampedSwiglu:
        table_.clamped_swiglu(g, up.row(t), kSwigluAlpha, kSwigluLimit, n, g);
        break;
    }
    table_.quantize(g, gate.quantized(), t);
  });
}

void Ops::add(Rows& x, Rows& y, std::span<const float> norm_weight, float epsilon, float scale) {
  each(x.tokens(), [&](std::size_t t) {
    if (!norm_weight.empty()) table_.rms_norm(y.row(t), norm_weight.data(), epsilon, y.columns(), y.row(t));
    table_.add_scaled(x.row(t), y.row(t), scale, x.columns());
  });
}

void Ops::linear(std::span<const Linear> products, Rows& x) {
  std::size_t total = 0;
  for (const Linear& p : products) total += p.weight->groups();
  const std::size_t chunk = groups_at_a_time(products, total, x.tokens(), pool_.size());
  pool_.parallel_for(total, chunk, [&](std::size_t begin, std::size_t end, std::size_t worker) {
    std::size_t first = 0;
    for (const Linear& p : products) {
      const std::size_t last = first + p.weight->groups();
      const std::size_t from = std::max(begin, first);
      const std::size_t to = std::min(end, last);
      const std::size_t rows = p.rows == Linear::kAllRows ? x.tokens() : p.rows;
      if (from < to) {
        if (kernels::is_quantized(p.weight->type)) {
          table_.matmul(*p.weight, from - first, to - first, x.quantized_from(p.first_row), rows, p.out,
                        scratch(worker, kernels::matmul_scratch_bytes(x.columns())));
        } else {
          table_.matmul_float(*p.weight, from - first, to - first, x.row(p.first_row), x.columns(), rows,
                              p.out);
        }
      }
      first = last;
    }
  });
}

}  // namespace kvasir::models
