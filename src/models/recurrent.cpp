#include "models/recurrent.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace kvasir::models {
namespace {

// Channels that one thread convolves at a time.
constexpr std::size_t kConvChannels = 128;
// Of the length of keys and queries, which are made of length one (qwen3_next's own constant).
constexpr float kLengthEpsilon = 1e-6F;

// ln(1 + e^x), without overflow.
float softplus(float x) {
  return x > 20.0F ? x : std::log1p(std::exp(x));
}

float sigmoid(float x) {
  return 1.0F / (1.0F + std::exp(-x));
}

}  // namespace

std::vector<StatePlace> state_places(const ModelConfig& c) {
  constexpr std::size_t kCacheLine = 64;
  std::vector<StatePlace> places;
  StatePlace next;
  const auto put = [&](std::size_t bytes) {
    if (next.offset + bytes > c.kv_block_bytes()) next = {next.block + 1, 0};
    places.push_back(next);
    next.offset += (bytes + kCacheLine - 1) / kCacheLine * kCacheLine;
  };
  for (std::size_t layer = 0; layer < c.state_layers; ++layer) {
    put(c.conv_state_bytes);
    for (std::size_t head = 0; head < c.state_heads; ++head) put(c.head_state_bytes);
  }
  return places;
}

std::size_t ModelConfig::state_blocks() const {
  return state_layers == 0 ? 0 : state_places(*this).back().block + 1;
}

RecurrentForward::RecurrentForward(Ops& ops, const Description& description, bool precise)
    : ops_(ops), d_(description), r_(description.recurrence), places_(state_places(description.config)) {
  out_.set_precise(precise);
  // norm(x) * weight with these is x / |x|, and for queries also the usual scale of scores.
  const auto length = static_cast<float>(r_.key_dim);
  key_norm_.assign(r_.key_dim, 1.0F / std::sqrt(length));
  query_norm_.assign(r_.key_dim, 1.0F / length);
}

std::size_t RecurrentForward::activation_floats_per_token() const {
  const bool conv = r_.kind == RecurrenceKind::kShortConv;
  return (conv ? 3 : 1) * r_.channels + 2 * r_.inner() + 4 * r_.heads;
}

Rows& RecurrentForward::forward(const Batch& batch, std::size_t layer, const RecurrentWeights& w, Rows& x) {
  out_.resize(x.tokens(), r_.inner());
  switch (r_.kind) {
    case RecurrenceKind::kNone:
      break;
    case RecurrenceKind::kShortConv:
      short_conv(batch, layer, w, x);
      break;
    case RecurrenceKind::kMamba2:
      mamba2(batch, layer, w, x);
      break;
    case RecurrenceKind::kDeltaNet:
      delta_net(batch, layer, w, x);
      break;
  }
  return out_;
}

float* RecurrentForward::state(const Batch& batch, const Span& span, std::size_t layer,
                               std::size_t part) const {
  const ModelConfig& c = d_.config;
  const StatePlace at = places_[d_.layers[layer].place * (1 + c.state_heads) + part];
  const std::size_t bytes = part == 0 ? c.conv_state_bytes : c.head_state_bytes;
  const auto in = [&](std::span<const BlockId> blocks) {
    return batch.kv_base + index_of(blocks[at.block]) * c.kv_block_bytes() + at.offset;
  };
  std::byte* out = in(span.state_out);
  if (span.start == 0) {
    std::memset(out, 0, bytes);
  } else if (const std::byte* old = in(span.state_in); old != out) {
    std::memcpy(out, old, bytes);
  }
  return reinterpret_cast<float*>(out);
}

// A run of channels of every span. Of LFM2, mixed_ is B, C and x; the others' is convolved in place.
void RecurrentForward::convolve(const Batch& batch, std::size_t layer, const RecurrentWeights& w) {
  const bool gated = r_.kind == RecurrenceKind::kShortConv;
  const std::size_t n = r_.channels;
  const std::size_t runs = (n + kConvChannels - 1) / kConvChannels;
  std::size_t row = 0;
  for (const Span& s : batch.spans) {
    float* conv_state = state(batch, s, layer, 0);
    ops_.each(runs, [&](std::size_t run) {
      const std::size_t c = run * kConvChannels;
      float* mixed = mixed_.row(row) + c;
      kernels::ConvInput in;
      in.x = gated ? mixed + 2 * n : mixed;
      in.in_gate = gated ? mixed : nullptr;
      in.out_gate = gated ? mixed + n : nullptr;
      in.x_stride = mixed_.columns();
      in.tokens = s.tokens.size();
      in.channels = std::min(kConvChannels, n - c);
      in.taps = r_.taps;
      in.silu = !gated;
      in.weight = w.conv.data() + c;
      in.bias = w.conv_bias.empty() ? nullptr : w.conv_bias.data() + c;
      in.state = conv_state + c;
      in.channel_stride = n;
      in.out = gated ? out_.row(row) + c : mixed;
      in.out_stride = gated ? out_.columns() : mixed_.columns();
      ops_.table().convolve(in);
    });
    row += s.tokens.size();
  }
}

void RecurrentForward::short_conv(const Batch& batch, std::size_t layer, const RecurrentWeights& w, Rows& x) {
  mixed_.resize(x.tokens(), 3 * r_.channels);
  const Linear in[] = {{&w.in, {mixed_.data(), mixed_.columns(), nullptr, false}}};
  ops_.linear(in, x);
  convolve(batch, layer, w);
  ops_.quantize(out_);
}

// Mamba 2: one scalar of decay for each head, keys and queries (B and C) shared by groups of heads.
void RecurrentForward::mamba2(const Batch& batch, std::size_t layer, const RecurrentWeights& w, Rows& x) {
  const std::size_t tokens = x.tokens();
  mixed_.resize(tokens, r_.channels);
  gate_.resize(tokens, r_.inner());
  step_.resize(tokens, r_.heads);
  const Linear in[] = {{&w.gate, {gate_.data(), gate_.columns(), nullptr, false}},
                       {&w.in, {mixed_.data(), mixed_.columns(), nullptr, false}},
                       {&w.step, {step_.data(), step_.columns(), w.step_bias.data(), false}}};
  ops_.linear(in, x);
  decay_.resize(tokens * r_.heads);
  rates_.resize(tokens * r_.heads);
  ops_.each(tokens, [&](std::size_t t) {
    for (std::size_t h = 0; h < r_.heads; ++h) {
      const float step = softplus(step_.row(t)[h]);
      rates_[t * r_.heads + h] = step;
      decay_[t * r_.heads + h] = std::exp(step * w.decay[h]);
    }
  });
  convolve(batch, layer, w);
  run_heads(batch, layer, w);
  // norm(silu(gate) * y), of each group by itself
  const std::size_t group = r_.inner() / r_.key_heads;
  ops_.each(tokens, [&](std::size_t t) {
    float* y = out_.row(t);
    ops_.table().silu_mul(gate_.row(t), y, r_.inner(), y);
    for (std::size_t i = 0; i < r_.inner(); i += group)
      ops_.table().rms_norm(y + i, w.norm.data() + i, d_.config.norm_epsilon, group, y + i);
    ops_.table().quantize(y, out_.quantized(), t);
  });
}

void RecurrentForward::delta_net(const Batch& batch, std::size_t layer, const RecurrentWeights& w, Rows& x) {
  const std::size_t tokens = x.tokens();
  const bool joined = w.rate.rows == 0;
  mixed_.resize(tokens, r_.channels);
  gate_.resize(tokens, r_.inner());
  step_.resize(tokens, joined ? 2 * r_.heads : r_.heads);
  rate_.resize(tokens, r_.heads);
  std::vector<Linear> in = {{&w.in, {mixed_.data(), mixed_.columns(), nullptr, false}},
                            {&w.gate, {gate_.data(), gate_.columns(), nullptr, false}},
                            {&w.step, {step_.data(), step_.columns(), nullptr, false}}};
  if (!joined) in.push_back({&w.rate, {rate_.data(), rate_.columns(), nullptr, false}});
  ops_.linear(in, x);
  decay_.resize(tokens * r_.heads);
  rates_.resize(tokens * r_.heads);
  // Joined rows are, of each key head, its heads' rates and then their steps.
  const std::size_t share = r_.heads / r_.key_heads;
  ops_.each(tokens, [&](std::size_t t) {
    for (std::size_t h = 0; h < r_.heads; ++h) {
      const std::size_t at = h / share * 2 * share + h % share;
      const float rate = joined ? step_.row(t)[at] : rate_.row(t)[h];
      const float step = joined ? step_.row(t)[at + share] : step_.row(t)[h];
      rates_[t * r_.heads + h] = sigmoid(rate);
      decay_[t * r_.heads + h] = std::exp(w.decay[h] * softplus(step + w.step_bias[h]));
    }
  });
  convolve(batch, layer, w);
  const float epsilon = kLengthEpsilon / static_cast<float>(r_.key_dim);
  ops_.each(tokens, [&](std::size_t t) {
    for (std::size_t h = 0; h < 2 * r_.key_heads; ++h) {
      float* vector = mixed_.row(t) + h * r_.key_dim;
      const std::vector<float>& norm = h < r_.key_heads ? query_norm_ : key_norm_;
      ops_.table().rms_norm(vector, norm.data(), epsilon, r_.key_dim, vector);
    }
  });
  run_heads(batch, layer, w);
  // silu(gate) * norm(y), of each head
  ops_.each(tokens, [&](std::size_t t) {
    float* y = out_.row(t);
    for (std::size_t i = 0; i < r_.inner(); i += r_.value_dim)
      ops_.table().rms_norm(y + i, w.norm.data(), d_.config.norm_epsilon, r_.value_dim, y + i);
    ops_.table().silu_mul(gate_.row(t), y, r_.inner(), y);
    ops_.table().quantize(y, out_.quantized(), t);
  });
}

void RecurrentForward::run_heads(const Batch& batch, std::size_t layer, const RecurrentWeights& w) {
  const auto run = r_.kind == RecurrenceKind::kMamba2 ? ops_.table().scan : ops_.table().delta_rule;
  std::vector<std::size_t> rows;
  std::size_t row = 0;
  for (const Span& s : batch.spans) {
    rows.push_back(row);
    row += s.tokens.size();
  }
  ops_.pool().parallel_for(rows.size() * r_.heads, 1,
                           [&](std::size_t begin, std::size_t end, std::size_t /*worker*/) {
                             for (std::size_t i = begin; i < end; ++i) {
                               const Span& s = batch.spans[i / r_.heads];
                               const std::size_t head = i % r_.heads;
                               kernels::RecurrenceInput in = head_input(rows[i / r_.heads], head, w);
                               in.tokens = s.tokens.size();
                               in.state = state(batch, s, layer, 1 + head);
                               run(in);
                             }
                           });
}

// Columns of mixed_: of Mamba 2 values, keys, queries (x, B, C); of delta nets queries, keys, values.
kernels::RecurrenceInput RecurrentForward::head_input(std::size_t row, std::size_t head,
                                                      const RecurrentWeights& w) {
  const bool mamba = r_.kind == RecurrenceKind::kMamba2;
  const std::size_t keys = r_.key_heads * r_.key_dim;
  const std::size_t key_head = r_.keys_in_turn ? head % r_.key_heads : head / (r_.heads / r_.key_heads);
  float* mixed = mixed_.row(row);
  kernels::RecurrenceInput in;
  in.rows = r_.key_dim;
  in.columns = r_.value_dim;
  in.value = mixed + (mamba ? 0 : 2 * keys) + head * r_.value_dim;
  in.key = mixed + (mamba ? r_.inner() : keys) + key_head * r_.key_dim;
  in.query = mixed + (mamba ? r_.inner() + keys : 0) + key_head * r_.key_dim;
  in.key_stride = in.value_stride = mixed_.columns();
  in.decay = decay_.data() + row * r_.heads + head;
  in.rate = rates_.data() + row * r_.heads + head;
  in.scalar_stride = r_.heads;
  in.skip = mamba ? w.skip[head] : 0.0F;
  in.out = out_.row(row) + head * r_.value_dim;
  in.out_stride = out_.columns();
  return in;
}

}  // namespace kvasir::models
