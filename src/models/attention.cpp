#include "models/attention.h"

#include <algorithm>
#include <cmath>

namespace kvasir::models {
namespace {

using kernels::kSegmentBlocks;
constexpr std::size_t kSegmentTokens = kSegmentBlocks * kBlockTokens;

// Query rows (tokens times the heads that share a KV head) that one unit of prefill attention covers at most,
// and tokens: enough rows to pay for widening a KV block, few enough that their states stay in the
// second-level cache.
constexpr std::size_t kUnitRows = 256;
constexpr std::size_t kUnitTokens = 64;
// Spans of fewer tokens split their segments over the threads instead.
constexpr std::size_t kSplitTokens = 8;

std::size_t cache_line(std::size_t bytes) {
  return (bytes + 63) / 64 * 64;
}

std::size_t tokens_of(const Batch& batch) {
  std::size_t tokens = 0;
  for (const Span& s : batch.spans) tokens += s.tokens.size();
  return tokens;
}

}  // namespace

Attention::Attention(Ops& ops, const Description& description)
    : ops_(ops),
      table_(ops.table()),
      d_(description),
      attend_(table_.attention_segment),
      tables_(description.ropes.size()) {
  for (const LayerDescription& layer : d_.layers) {
    if (std::ranges::none_of(plans_, [&](const Plan& p) { return p.window == layer.window; })) {
      plans_.push_back({layer.window, {}, {}});
    }
  }
}

void Attention::set_bf16(bool on) {
  attend_ = on && table_.attention_segment_bf16 != nullptr ? table_.attention_segment_bf16
                                                           : table_.attention_segment;
}

void Attention::begin(const Batch& batch) {
  for (std::size_t i = 0; i < tables_.size(); ++i) fill_table(batch, d_.ropes[i], tables_[i]);
  std::size_t states = 0;
  for (Plan& p : plans_) states = std::max(states, plan(batch, p));
  if (split_states_.size() < states) split_states_.resize(states);
}

void Attention::fill_table(const Batch& batch, const Rope& rope, Table& table) {
  const std::size_t half = rope.frequency.size();
  const std::size_t tokens = tokens_of(batch);
  table.cos.resize(tokens * half);
  table.sin.resize(tokens * half);
  std::size_t row = 0;
  for (const Span& s : batch.spans) {
    ops_.each(s.tokens.size(), [&](std::size_t t) {
      for (std::size_t i = 0; i < half; ++i) {
        const double angle = static_cast<double>(s.start + t) * rope.frequency[i];
        table.cos[(row + t) * half + i] = static_cast<float>(std::cos(angle) * rope.magnitude);
        table.sin[(row + t) * half + i] = static_cast<float>(std::sin(angle) * rope.magnitude);
      }
    });
    row += s.tokens.size();
  }
}

void Attention::rotate(const LayerDescription& layer, std::size_t row, float* x) const {
  if (layer.rope == kNoRope) return;
  const std::size_t half = d_.ropes[layer.rope].frequency.size();
  const Table& table = tables_[layer.rope];
  const auto turn = d_.rope_interleaved ? table_.rope_interleaved : table_.rope_neox;
  turn(x, table.cos.data() + row * half, table.sin.data() + row * half, 2 * half);
}

float Attention::query_scale(std::size_t position) const {
  if (d_.query_growth == 0.0F) return d_.attention_scale;
  const std::size_t periods = position / d_.query_period;
  return d_.attention_scale * (1.0F + d_.query_growth * std::log(static_cast<float>(1 + periods)));
}

void Attention::store(const Batch& batch, const AttentionLayer& layer, Rows& q, Rows& k, Rows& v) {
  const ModelConfig& c = d_.config;
  const LayerDescription& shape = d_.layers[layer.index];
  const std::size_t d = c.head_dim;
  // One head's norm, or that of all heads together.
  const auto norm = [&](std::span<const float> weight, float* x, std::size_t heads) {
    if (weight.empty()) return;
    for (std::size_t i = 0; i < heads * d; i += weight.size())
      table_.rms_norm(x + i, weight.data(), c.norm_epsilon, weight.size(), x + i);
  };
  std::size_t row = 0;
  for (const Span& s : batch.spans) {
    ops_.each(s.tokens.size(), [&](std::size_t t) {
      const std::size_t r = row + t;
      norm(layer.q_norm, q.row(r), c.heads);
      norm(layer.k_norm, k.row(r), c.kv_heads);
      for (std::size_t h = 0; h < c.heads; ++h) rotate(shape, r, q.row(r) + h * d);
      table_.scale(q.row(r), query_scale(s.start + t), c.heads * d);
      for (std::size_t h = 0; h < c.kv_heads; ++h) rotate(shape, r, k.row(r) + h * d);
      write_token(batch, s, t, shape.place, k.row(r), v.row(r));
    });
    row += s.tokens.size();
  }
}

void Attention::write(const Batch& batch, const AttentionLayer& layer, Rows& k, Rows& v) {
  const std::size_t place = d_.layers[layer.index].place;
  std::size_t row = 0;
  for (const Span& s : batch.spans) {
    ops_.each(s.tokens.size(),
              [&](std::size_t t) { write_token(batch, s, t, place, k.row(row + t), v.row(row + t)); });
    row += s.tokens.size();
  }
}

void Attention::write_token(const Batch& batch, const Span& span, std::size_t token, std::size_t place,
                            const float* k, const float* v) const {
  const ModelConfig& c = d_.config;
  const std::size_t position = span.start + token;
  std::byte* block = batch.kv_base + index_of(span.blocks[position / kBlockTokens]) * c.kv_block_bytes();
  for (std::size_t h = 0; h < c.kv_heads; ++h) {
    table_.store_kv(c.kv_type, k + h * c.head_dim, v + h * c.value_dim, c.head_dim, c.value_dim,
                    position % kBlockTokens, block + (place * c.kv_heads + h) * c.kv_head_block_bytes());
  }
}

std::size_t Attention::unit_tokens() const {
  return std::clamp<std::size_t>(kUnitRows / group(), 1, kUnitTokens);
}

// Returns the floats of split states that it needs.
std::size_t Attention::plan(const Batch& batch, Plan& plan) {
  plan.units.clear();
  plan.joins.clear();
  plan.in_runs =
      std::ranges::all_of(batch.spans, [](const Span& s) { return s.tokens.size() < kSplitTokens; });
  const std::size_t state = kernels::attention_state_floats(d_.config.value_dim);
  std::size_t row = 0;
  std::size_t states = 0;
  for (const Span& s : batch.spans) {
    // The segments that hold what tokens [first, first + n) of the span see.
    const auto begin_of = [&](std::size_t first) {
      const std::size_t end = s.start + first + 1;
      return plan.window != 0 && end > plan.window ? (end - plan.window) / kSegmentTokens : 0;
    };
    const auto end_of = [&](std::size_t tokens) {
      return (s.start + tokens + kSegmentTokens - 1) / kSegmentTokens;
    };
    const std::size_t first = begin_of(0);
    const std::size_t last = end_of(s.tokens.size());
    const bool split = s.tokens.size() < kSplitTokens && last - first > 1;
    for (std::size_t h = 0; h < d_.config.kv_heads; ++h) {
      if (split) {
        plan.joins.push_back({&s, row, h, 0, s.tokens.size(), first, last, true, states, last - first});
        for (std::size_t i = first; i < last; ++i) {
          plan.units.push_back({&s, row, h, 0, s.tokens.size(), i, i + 1, true, states, 1});
          states += s.tokens.size() * group() * state;
        }
        continue;
      }
      for (std::size_t t = 0; t < s.tokens.size(); t += unit_tokens()) {
        const std::size_t n = std::min(unit_tokens(), s.tokens.size() - t);
        plan.units.push_back({&s, row, h, t, n, begin_of(t), end_of(t + n), false, 0, 0});
      }
    }
    row += s.tokens.size();
  }
  // Longest first, so that the last to finish is short.
  if (!plan.in_runs)
    std::sort(plan.units.begin(), plan.units.end(), [](const Unit& a, const Unit& b) {
      return (a.last_segment - a.first_segment) * a.tokens > (b.last_segment - b.first_segment) * b.tokens;
    });
  return states;
}

const Attention::Plan& Attention::plan_of(std::size_t layer) const {
  const std::size_t window = d_.layers[layer].window;
  return *std::ranges::find_if(plans_, [&](const Plan& p) { return p.window == window; });
}

// A sink is one more score of every row, whose value is nothing (Xiao et al., 2023): it is merged last, as a
// segment of its own. `sink_state` holds zeros for its values.
void Attention::finish(const AttentionLayer& layer, std::size_t head, float* state, float* sink_state,
                       float* out) {
  const std::size_t value_dim = d_.config.value_dim;
  if (!layer.sinks.empty()) {
    sink_state[0] = layer.sinks[head];
    sink_state[1] = 1.0F;
    std::fill_n(sink_state + 16, value_dim, 0.0F);
    table_.attention_merge(state, sink_state, value_dim);
  }
  table_.attention_finish(state, value_dim, out);
}

void Attention::run_unit(const Unit& unit, const Batch& batch, const AttentionLayer& layer, Rows& q,
                         Rows& out, std::byte* scratch) {
  const ModelConfig& c = d_.config;
  const std::size_t state = kernels::attention_state_floats(c.value_dim);
  const std::size_t first_row = unit.row + unit.first_token;
  kernels::AttentionInput in;
  in.q = q.row(first_row) + unit.kv_head * group() * c.head_dim;
  in.q_token_stride = q.columns();
  in.q_head_stride = c.head_dim;
  in.tokens = unit.tokens;
  in.heads = group();
  in.position = unit.span->start + static_cast<std::uint32_t>(unit.first_token);
  in.head_dim = c.head_dim;
  in.value_dim = c.value_dim;
  in.window = d_.layers[layer.index].window;
  in.soft_cap = d_.attention_cap;
  in.kv_type = c.kv_type;
  in.kv_base = batch.kv_base;
  in.kv_block_bytes = c.kv_block_bytes();
  in.kv_offset = (d_.layers[layer.index].place * c.kv_heads + unit.kv_head) * c.kv_head_block_bytes();
  in.blocks = unit.span->blocks;
  const std::size_t rows = unit.tokens * group();
  const std::size_t blocks = (in.position + unit.tokens + kBlockTokens - 1) / kBlockTokens;

  auto* total = reinterpret_cast<float*>(scratch);
  if (unit.split) total = split_states_.data() + unit.states;
  float* part = reinterpret_cast<float*>(scratch) + rows * state;
  std::byte* widened = scratch + cache_line(2 * rows * state * sizeof(float));
  for (std::size_t s = unit.first_segment; s < unit.last_segment; ++s) {
    float* into = s == unit.first_segment ? total : part;
    attend_(in, s * kSegmentBlocks, std::min((s + 1) * kSegmentBlocks, blocks), into, widened);
    if (into == total) continue;
    for (std::size_t r = 0; r < rows; ++r)
      table_.attention_merge(total + r * state, part + r * state, c.value_dim);
  }
  if (unit.split) return;
  for (std::size_t r = 0; r < rows; ++r) {
    const std::size_t head = unit.kv_head * group() + r % group();
    finish(layer, head, total + r * state, part, out.row(first_row + r / group()) + head * c.value_dim);
  }
}

void Attention::join(const Unit& join, const AttentionLayer& layer, float* sink_state, Rows& out) {
  const std::size_t value_dim = d_.config.value_dim;
  const std::size_t state = kernels::attention_state_floats(value_dim);
  const std::size_t part = join.tokens * group() * state;
  for (std::size_t r = 0; r < join.tokens * group(); ++r) {
    float* total = split_states_.data() + join.states + r * state;
    for (std::size_t p = 1; p < join.parts; ++p) table_.attention_merge(total, total + p * part, value_dim);
    const std::size_t head = join.kv_head * group() + r % group();
    finish(layer, head, total, sink_state, out.row(join.row + r / group()) + head * value_dim);
  }
}

// Of one layer.
void Attention::count_work(const Batch& batch, std::size_t window, PartTimes& times) const {
  const ModelConfig& c = d_.config;
  const auto seen_by = [window](std::size_t position) {
    return window == 0 ? position + 1 : std::min(position + 1, window);
  };
  double seen = 0;         // tokens, by all tokens of the batch
  std::size_t blocks = 0;  // of KV that any of a span's tokens sees
  for (const Span& s : batch.spans) {
    for (std::size_t t = 0; t < s.tokens.size(); ++t) seen += static_cast<double>(seen_by(s.start + t));
    const std::size_t end = s.start + s.tokens.size();
    const std::size_t begin = s.start + 1 - seen_by(s.start);
    blocks += (end + kBlockTokens - 1) / kBlockTokens - begin / kBlockTokens;
  }
  PartWork& work = times[Part::kAttention];
  work.operations += 2 * seen * static_cast<double>(c.heads) * static_cast<double>(c.head_dim + c.value_dim);
  work.bytes += static_cast<double>(blocks * c.kv_heads * c.kv_head_block_bytes());
}

void Attention::attend(const Batch& batch, const AttentionLayer& layer, Rows& q, Rows& out) {
  const PartScope scope(ops_.times(), Part::kAttention);
  const ModelConfig& c = d_.config;
  const Plan& plan = plan_of(layer.index);
  if (ops_.times() != nullptr) count_work(batch, plan.window, *ops_.times());
  const std::size_t state = kernels::attention_state_floats(c.value_dim);
  const std::size_t rows = std::max(kSplitTokens, unit_tokens()) * group();
  const std::size_t bytes = cache_line(2 * rows * state * sizeof(float)) +
                            kernels::attention_scratch_bytes(rows, c.head_dim, c.value_dim);
  const auto run = [&](std::size_t begin, std::size_t end, std::size_t worker) {
    for (std::size_t i = begin; i < end; ++i)
      run_unit(plan.units[i], batch, layer, q, out, ops_.scratch(worker, bytes));
  };
  if (plan.in_runs)
    ops_.in_runs(plan.units.size(), 1, run);
  else
    ops_.pool().parallel_for(plan.units.size(), 1, run);
  ops_.in_runs(plan.joins.size(), 1, [&](std::size_t begin, std::size_t end, std::size_t worker) {
    auto* sink_state = reinterpret_cast<float*>(ops_.scratch(worker, bytes));
    for (std::size_t i = begin; i < end; ++i) join(plan.joins[i], layer, sink_state, out);
  });
  ops_.quantize(out);
}

}  // namespace kvasir::models
