#include "models/ops.h"

#include <algorithm>

namespace kvasir::models {
namespace {

// gpt-oss's own constants.
constexpr float kSwigluAlpha = 1.702F;
constexpr float kSwigluLimit = 7.0F;

// Few tokens wait for the weights to be read: in pieces of so many bytes, since whoever is last keeps the
// others waiting, and not of fewer, since taking one costs as much as some hundred bytes.
constexpr std::size_t kFewTokens = 8;
constexpr std::size_t kPieceBytes = std::size_t{16} << 10;

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

Part part_of(const kernels::PackedMatrix& w) {
  return kernels::is_quantized(w.type) ? Part::kProducts : Part::kFloatProducts;
}

}  // namespace

Ops::Ops(ThreadPool& pool, const kernels::KernelTable& table, PartTimes* times)
    : pool_(pool), table_(table), times_(times), runs_(pool.size()), scratch_(pool.size()) {}

std::byte* Ops::scratch(std::size_t worker, std::size_t bytes) {
  if (scratch_[worker].size() < bytes) scratch_[worker] = AlignedBuffer(bytes);
  return scratch_[worker].data();
}

void Ops::in_runs(std::size_t count, std::size_t piece, RangeFunction f) {
  if (count <= piece) return pool_.parallel_for(count, piece, f);
  runs_.start(count, piece);
  pool_.parallel_for(pool_.size(), 1, [&](std::size_t, std::size_t, std::size_t worker) {
    std::size_t begin = 0;
    std::size_t end = 0;
    while (runs_.take(worker, begin, end)) f(begin, end, worker);
  });
}

void Ops::quantize(Rows& x) {
  const PartScope scope(times_, Part::kRows);
  each(x.tokens(), [&](std::size_t t) { table_.quantize(x.row(t), x.quantized(), t); });
}

void Ops::norm(Rows& x, std::span<const float> weight, float epsilon, Rows& out) {
  const PartScope scope(times_, Part::kRows);
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
  const PartScope scope(times_, Part::kRows);
  each(gate.tokens(), [&](std::size_t t) {
    activate(activation, gate.row(t), up.row(t), gate.columns());
    table_.quantize(gate.row(t), gate.quantized(), t);
  });
}

void Ops::gated_linear(Activation activation, const kernels::PackedMatrix& gate,
                       const kernels::PackedMatrix& up, Rows& x, Rows& out) {
  const Part part = part_of(gate);
  const PartScope scope(times_, part);
  count_product(part, gate, x, x.tokens());
  count_product(part, up, x, x.tokens());
  constexpr std::size_t kGroups = kernels::kBlockK / kernels::kGroupRows;  // of a block of the result
  const std::size_t tokens = x.tokens();
  const std::size_t blocks = out.columns() / kernels::kBlockK;
  const Linear both[] = {{&gate, {}}, {&up, {}}};
  const std::size_t of_piece =
      std::max<std::size_t>(1, groups_at_a_time(both, gate.groups(), tokens, pool_.size()) / kGroups);
  const std::size_t at_once =
      std::clamp<std::size_t>(kGatedFloats / (2 * kernels::kBlockK * tokens), 1, of_piece);
  const std::size_t matmul_bytes = (kernels::matmul_scratch_bytes(x.columns()) + 63) / 64 * 64;
  const std::size_t floats = at_once * kernels::kBlockK * tokens;
  in_runs(blocks, of_piece, [&](std::size_t begin, std::size_t end, std::size_t worker) {
    std::byte* own = scratch(worker, matmul_bytes + 2 * floats * sizeof(float));
    auto* gates = reinterpret_cast<float*>(own + matmul_bytes);
    float* ups = gates + floats;
    for (std::size_t b = begin; b < end; b += at_once) {
      const std::size_t count = std::min(at_once, end - b);
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
  });
}

void Ops::add(Rows& x, Rows& y, std::span<const float> norm_weight, float epsilon, float scale) {
  const PartScope scope(times_, Part::kRows);
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

void Ops::count_product(Part part, const kernels::PackedMatrix& w, const Rows& x, std::size_t rows) {
  if (times_ == nullptr) return;
  const double planes = kernels::is_quantized(w.type) && x.precise() ? 2 : 1;
  (*times_)[part].operations +=
      2 * planes * static_cast<double>(rows) * static_cast<double>(w.rows) * static_cast<double>(w.columns);
}

void Ops::linear(std::span<const Linear> products, Rows& x) {
  // Products of one x whose weights are of both kinds count as the first of them.
  const Part part = part_of(*products.front().weight);
  const PartScope scope(times_, part);
  std::size_t total = 0;
  for (const Linear& p : products) {
    total += p.weight->groups();
    count_product(part, *p.weight, x, p.rows == Linear::kAllRows ? x.tokens() : p.rows);
  }
  const std::size_t chunk = groups_at_a_time(products, total, x.tokens(), pool_.size());
  const auto run = [&](std::size_t begin, std::size_t end, std::size_t worker) {
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
  };
  x.tokens() <= kFewTokens ? in_runs(total, chunk, run) : pool_.parallel_for(total, chunk, run);
}

}  // namespace kvasir::models
