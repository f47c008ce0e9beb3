#include "models/ops.h"

#include <algorithm>
#include <cmath>

namespace kvasir::models {
namespace {

using kernels::kSegmentBlocks;

// Query tokens that one unit of prefill attention covers: enough rows to pay for widening a KV block, few
// enough that their states stay in the second-level cache.
constexpr std::size_t kUnitTokens = 16;
// Spans of fewer tokens split their segments over the threads instead.
constexpr std::size_t kSplitTokens = 8;

std::size_t cache_line(std::size_t bytes) {
  return (bytes + 63) / 64 * 64;
}

}  // namespace

void Rows::resize(std::size_t tokens, std::size_t columns) {
  tokens_ = tokens;
  columns_ = columns;
  const std::size_t float_bytes = cache_line(tokens * columns * sizeof(float));
  if (floats_.size() < float_bytes) floats_ = AlignedBuffer(float_bytes);
  const std::size_t blocks = columns / kernels::kBlockK;
  const std::size_t q = cache_line(tokens * columns);
  const std::size_t per_block = cache_line(tokens * blocks * sizeof(float));
  const std::size_t planes = precise_ ? 2 : 1;
  const std::size_t bytes = planes * q + 5 * per_block;
  if (bytes_.size() < bytes) bytes_ = AlignedBuffer(bytes);
  std::byte* p = bytes_.data();
  quantized_.k = columns;
  quantized_.q = reinterpret_cast<std::int8_t*>(p);
  quantized_.low = precise_ ? reinterpret_cast<std::int8_t*>(p + q) : nullptr;
  p += planes * q;
  quantized_.scale = reinterpret_cast<float*>(p);
  quantized_.scaled_sum = reinterpret_cast<float*>(p + per_block);
  quantized_.shift32 = reinterpret_cast<std::int32_t*>(p + 2 * per_block);
  quantized_.shift = reinterpret_cast<std::int32_t*>(p + 3 * per_block);
}

Ops::Ops(ThreadPool& pool, const kernels::KernelTable& table)
    : pool_(pool), table_(table), attend_(table.attention_segment), scratch_(pool.size()) {}

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

void Ops::silu_mul(Rows& gate, Rows& up) {
  each(gate.tokens(), [&](std::size_t t) {
    table_.silu_mul(gate.row(t), up.row(t), gate.columns(), gate.row(t));
    table_.quantize(gate.row(t), gate.quantized(), t);
  });
}

void Ops::linear(std::span<const Linear> products, Rows& x) {
  std::size_t total = 0;
  for (const Linear& p : products) total += p.weight->groups();
  // Even chunks, so that kernels which take two groups at a time can; about eight a thread, to level the
  // load.
  const std::size_t chunk = std::max<std::size_t>(2, total / (pool_.size() * 8) / 2 * 2);
  pool_.parallel_for(total, chunk, [&](std::size_t begin, std::size_t end, std::size_t worker) {
    std::size_t first = 0;
    for (const Linear& p : products) {
      const std::size_t last = first + p.weight->groups();
      const std::size_t from = std::max(begin, first);
      const std::size_t to = std::min(end, last);
      if (from < to) {
        if (kernels::is_quantized(p.weight->type)) {
          table_.matmul(*p.weight, from - first, to - first, x.quantized(), x.tokens(), p.out,
                        scratch(worker, kernels::matmul_scratch_bytes(x.columns())));
        } else {
          table_.matmul_float(*p.weight, from - first, to - first, x.data(), x.columns(), x.tokens(), p.out);
        }
      }
      first = last;
    }
  });
}

void Ops::rope_tables(const Batch& batch, const ModelConfig& config, std::span<const float> factors) {
  const std::size_t half = config.head_dim / 2;
  std::vector<double> frequency(half);
  for (std::size_t i = 0; i < half; ++i) {
    frequency[i] = std::pow(static_cast<double>(config.rope_base),
                            -2.0 * static_cast<double>(i) / static_cast<double>(config.head_dim));
    frequency[i] *= static_cast<double>(config.rope_scale);
    if (!factors.empty()) frequency[i] /= static_cast<double>(factors[i]);
  }
  std::size_t tokens = 0;
  for (const Span& s : batch.spans) tokens += s.tokens.size();
  cos_.resize(tokens * half);
  sin_.resize(tokens * half);
  std::size_t row = 0;
  for (const Span& s : batch.spans) {
    each(s.tokens.size(), [&](std::size_t t) {
      for (std::size_t i = 0; i < half; ++i) {
        const double angle = static_cast<double>(s.start + t) * frequency[i];
        cos_[(row + t) * half + i] = static_cast<float>(std::cos(angle));
        sin_[(row + t) * half + i] = static_cast<float>(std::sin(angle));
      }
    });
    row += s.tokens.size();
  }
  plan_attention(batch, config);
}

void Ops::rope_and_store(const Batch& batch, const ModelConfig& config, bool interleaved, std::size_t layer,
                         Rows& q, Rows& k, Rows& v) {
  const std::size_t d = config.head_dim;
  const auto rotate = interleaved ? table_.rope_interleaved : table_.rope_neox;
  const float softmax_scale = 1.0F / std::sqrt(static_cast<float>(d));
  std::size_t row = 0;
  for (const Span& s : batch.spans) {
    each(s.tokens.size(), [&](std::size_t t) {
      const std::size_t r = row + t;
      const float* cos = cos_.data() + r * (d / 2);
      const float* sin = sin_.data() + r * (d / 2);
      for (std::size_t h = 0; h < config.heads; ++h) rotate(q.row(r) + h * d, cos, sin, d);
      table_.scale(q.row(r), softmax_scale, config.heads * d);
      const std::size_t position = s.start + t;
      std::byte* block =
          batch.kv_base + index_of(s.blocks[position / kBlockTokens]) * config.kv_block_bytes();
      for (std::size_t h = 0; h < config.kv_heads; ++h) {
        rotate(k.row(r) + h * d, cos, sin, d);
        table_.store_kv(config.kv_type, k.row(r) + h * d, v.row(r) + h * d, d, position % kBlockTokens,
                        block + (layer * config.kv_heads + h) * config.kv_head_block_bytes());
      }
    });
    row += s.tokens.size();
  }
}

void Ops::plan_attention(const Batch& batch, const ModelConfig& config) {
  units_.clear();
  joins_.clear();
  const std::size_t group = config.heads / config.kv_heads;
  const std::size_t state = kernels::attention_state_floats(config.head_dim);
  std::size_t row = 0;
  std::size_t states = 0;
  for (const Span& s : batch.spans) {
    const auto segments_to = [&](std::size_t tokens) {  // segments that hold the first tokens
      return (s.start + tokens + kSegmentBlocks * kBlockTokens - 1) / (kSegmentBlocks * kBlockTokens);
    };
    const std::size_t all = segments_to(s.tokens.size());
    const bool split = s.tokens.size() < kSplitTokens && all > 1;
    for (std::size_t h = 0; h < config.kv_heads; ++h) {
      if (split) {
        joins_.push_back({&s, row, h, 0, s.tokens.size(), 0, all, true, states, all});
        for (std::size_t i = 0; i < all; ++i) {
          units_.push_back({&s, row, h, 0, s.tokens.size(), i, i + 1, true, states, 1});
          states += s.tokens.size() * group * state;
        }
        continue;
      }
      for (std::size_t t = 0; t < s.tokens.size(); t += kUnitTokens) {
        const std::size_t n = std::min(kUnitTokens, s.tokens.size() - t);
        units_.push_back({&s, row, h, t, n, 0, segments_to(t + n), false, 0, 0});
      }
    }
    row += s.tokens.size();
  }
  // Longest first, so that the last to finish is short.
  std::sort(units_.begin(), units_.end(), [](const Unit& a, const Unit& b) {
    return (a.last_segment - a.first_segment) * a.tokens > (b.last_segment - b.first_segment) * b.tokens;
  });
  if (split_states_.size() < states) split_states_.resize(states);
}

void Ops::run_unit(const Unit& unit, const Batch& batch, const ModelConfig& config, std::size_t layer,
                   Rows& q, Rows& out, std::byte* scratch) {
  const std::size_t d = config.head_dim;
  const std::size_t group = config.heads / config.kv_heads;
  const std::size_t state = kernels::attention_state_floats(d);
  const std::size_t first_row = unit.row + unit.first_token;
  kernels::AttentionInput in;
  in.q = q.row(first_row) + unit.kv_head * group * d;
  in.q_token_stride = q.columns();
  in.q_head_stride = d;
  in.tokens = unit.tokens;
  in.heads = group;
  in.position = unit.span->start + static_cast<std::uint32_t>(unit.first_token);
  in.head_dim = d;
  in.kv_type = config.kv_type;
  in.kv_base = batch.kv_base;
  in.kv_block_bytes = config.kv_block_bytes();
  in.kv_offset = (layer * config.kv_heads + unit.kv_head) * config.kv_head_block_bytes();
  in.blocks = unit.span->blocks;
  const std::size_t rows = unit.tokens * group;
  const std::size_t blocks = (in.position + unit.tokens + kBlockTokens - 1) / kBlockTokens;

  auto* total = reinterpret_cast<float*>(scratch);
  if (unit.split) total = split_states_.data() + unit.states;
  float* part = reinterpret_cast<float*>(scratch) + rows * state;
  std::byte* widened = scratch + cache_line(2 * rows * state * sizeof(float));
  for (std::size_t s = unit.first_segment; s < unit.last_segment; ++s) {
    float* into = s == unit.first_segment ? total : part;
    attend_(in, s * kSegmentBlocks, std::min((s + 1) * kSegmentBlocks, blocks), into, widened);
    if (into == total) continue;
    for (std::size_t r = 0; r < rows; ++r) table_.attention_merge(total + r * state, part + r * state, d);
  }
  if (unit.split) return;
  for (std::size_t r = 0; r < rows; ++r) {
    float* to = out.row(first_row + r / group) + (unit.kv_head * group + r % group) * d;
    table_.attention_finish(total + r * state, d, to);
  }
}

void Ops::attention(const Batch& batch, const ModelConfig& config, std::size_t layer, Rows& q, Rows& out) {
  const std::size_t d = config.head_dim;
  const std::size_t group = config.heads / config.kv_heads;
  const std::size_t state = kernels::attention_state_floats(d);
  const std::size_t rows = kUnitTokens * group;
  const std::size_t bytes =
      cache_line(2 * rows * state * sizeof(float)) + kernels::attention_scratch_bytes(rows, d);
  pool_.parallel_for(units_.size(), 1, [&](std::size_t begin, std::size_t end, std::size_t worker) {
    for (std::size_t i = begin; i < end; ++i) {
      run_unit(units_[i], batch, config, layer, q, out, scratch(worker, bytes));
    }
  });
  for (const Unit& join : joins_) {
    const std::size_t part = join.tokens * group * state;
    for (std::size_t r = 0; r < join.tokens * group; ++r) {
      float* total = split_states_.data() + join.states + r * state;
      for (std::size_t p = 1; p < join.parts; ++p) table_.attention_merge(total, total + p * part, d);
      table_.attention_finish(total, d,
                              out.row(join.row + r / group) + (join.kv_head * group + r % group) * d);
    }
  }
  quantize(out);
}

}  // namespace kvasir::models
