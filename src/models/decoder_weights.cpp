#include "models/decoder_weights.h"

#include <string>
#include <utility>

#include "models/tensors.h"

namespace kvasir::models {
namespace {

// Written by old converters; nothing reads them.
const char* const kHarmless[] = {"rope_freqs.weight"};
constexpr std::string_view kHarmlessInLayer[] = {"attn_rot_embd.weight", "attn_rot_embd",
                                                 "rope_freqs.weight"};

void name_attention(TensorReader& read, const Description& d, const std::string& p, DecoderLayer& l) {
  const ModelConfig& c = d.config;
  const std::size_t q = c.heads * c.head_dim;
  const std::size_t kv = c.kv_heads * c.head_dim;
  if (d.fused_qkv && read.has(p + "attn_qkv.weight")) {
    read.rows(p + "attn_qkv.weight", q + 2 * kv, 0, q, c.width, l.q);
    read.rows(p + "attn_qkv.weight", q + 2 * kv, q, kv, c.width, l.k);
    read.rows(p + "attn_qkv.weight", q + 2 * kv, q + kv, kv, c.width, l.v);
  } else {
    read.matrix(p + "attn_q.weight", d.attention_gate ? 2 * q : q, c.width, l.q);
    read.matrix(p + "attn_k.weight", kv, c.width, l.k);
    read.matrix(p + "attn_v.weight", kv, c.width, l.v);
  }
  if (d.qkv_bias) {
    read.vector(p + "attn_q.bias", q, l.q_bias);
    read.vector(p + "attn_k.bias", kv, l.k_bias);
    read.vector(p + "attn_v.bias", kv, l.v_bias);
  }
  if (d.qk_norm != QkNorm::kNone) {
    const bool all = d.qk_norm == QkNorm::kAllHeads;
    read.vector(p + "attn_q_norm.weight", all ? q : c.head_dim, l.q_norm);
    read.vector(p + "attn_k_norm.weight", all ? kv : c.head_dim, l.k_norm);
  }
  if (d.sinks) read.vector(p + "attn_sinks.weight", c.heads, l.sinks);
  read.matrix(p + "attn_output.weight", c.width, c.heads * c.value_dim, l.o);
  if (d.o_bias) read.vector(p + "attn_output.bias", c.width, l.o_bias);
}

void name_latent(TensorReader& read, const Description& d, const std::string& p, DecoderLayer& layer) {
  const ModelConfig& c = d.config;
  const LatentAttention& l = d.latent;
  LatentWeights& w = layer.latent;
  const std::size_t q = c.heads * (l.plain + l.rotated);
  if (l.q_rank != 0) {
    read.matrix(p + "attn_q_a.weight", l.q_rank, c.width, w.q_down);
    read.vector(p + "attn_q_a_norm.weight", l.q_rank, w.q_norm);
    read.matrix(p + "attn_q_b.weight", q, l.q_rank, w.q);
  } else {
    read.matrix(p + "attn_q.weight", q, c.width, w.q);
  }
  read.matrix(p + "attn_kv_a_mqa.weight", l.kv_rank + l.rotated, c.width, w.kv_down);
  read.vector(p + "attn_kv_a_norm.weight", l.kv_rank, w.kv_norm);
  read.stack(p + "attn_k_b.weight", c.heads, l.kv_rank, l.plain, w.k);
  read.stack(p + "attn_v_b.weight", c.heads, l.value, l.kv_rank, w.v);
  read.matrix(p + "attn_output.weight", c.width, c.heads * l.value, layer.o);
}

void name_short_conv(TensorReader& read, const Description& d, const std::string& p, DecoderLayer& layer) {
  const std::size_t n = d.recurrence.channels;
  RecurrentWeights& w = layer.recurrent;
  read.matrix(p + "shortconv.in_proj.weight", 3 * n, d.config.width, w.in);
  read.table(p + "shortconv.conv.weight", n, d.recurrence.taps, w.conv);
  read.matrix(p + "shortconv.out_proj.weight", d.config.width, n, layer.o);
}

void name_mamba2(TensorReader& read, const Description& d, const std::string& p, DecoderLayer& layer) {
  const Recurrence& r = d.recurrence;
  const std::size_t width = d.config.width;
  RecurrentWeights& w = layer.recurrent;
  const std::size_t all = r.inner() + r.channels + r.heads;
  read.rows(p + "ssm_in.weight", all, 0, r.inner(), width, w.gate);
  read.rows(p + "ssm_in.weight", all, r.inner(), r.channels, width, w.in);
  read.rows(p + "ssm_in.weight", all, r.inner() + r.channels, r.heads, width, w.step);
  read.table(p + "ssm_conv1d.weight", r.channels, r.taps, w.conv);
  if (read.has(p + "ssm_conv1d.bias")) read.vector(p + "ssm_conv1d.bias", r.channels, w.conv_bias);
  read.vector(p + "ssm_dt.bias", r.heads, w.step_bias);
  read.flat(p + "ssm_a", r.heads, w.decay);
  read.flat(p + "ssm_d", r.heads, w.skip);
  read.table(p + "ssm_norm.weight", r.key_heads, r.inner() / r.key_heads, w.norm);
  read.matrix(p + "ssm_out.weight", width, r.inner(), layer.o);
}

void name_delta_net(TensorReader& read, const Description& d, const std::string& p, DecoderLayer& layer) {
  const Recurrence& r = d.recurrence;
  const std::size_t width = d.config.width;
  RecurrentWeights& w = layer.recurrent;
  if (read.has(p + "ssm_in.weight")) {
    // Of each key head its query, its key, and its heads' values and gates.
    const std::size_t values = r.heads / r.key_heads * r.value_dim;
    const std::size_t head = 2 * r.key_dim + 2 * values;
    const std::size_t all = r.key_heads * head;
    const auto of_heads = [&](std::size_t first, std::size_t rows) {
      std::vector<RowRange> ranges(r.key_heads);
      for (std::size_t h = 0; h < r.key_heads; ++h) ranges[h] = {h * head + first, rows};
      return ranges;
    };
    std::vector<RowRange> mixed = of_heads(0, r.key_dim);
    for (const auto& part : {of_heads(r.key_dim, r.key_dim), of_heads(2 * r.key_dim, values)})
      mixed.insert(mixed.end(), part.begin(), part.end());
    read.ranges(p + "ssm_in.weight", all, mixed, width, w.in);
    read.ranges(p + "ssm_in.weight", all, of_heads(2 * r.key_dim + values, values), width, w.gate);
  } else {
    read.matrix(p + "attn_qkv.weight", r.channels, width, w.in);
    read.matrix(p + "attn_gate.weight", r.inner(), width, w.gate);
  }
  if (read.has(p + "ssm_ba.weight")) {
    read.matrix(p + "ssm_ba.weight", 2 * r.heads, width, w.step);
  } else {
    read.matrix(p + "ssm_alpha.weight", r.heads, width, w.step);
    read.matrix(p + "ssm_beta.weight", r.heads, width, w.rate);
  }
  read.table(p + "ssm_conv1d.weight", r.channels, r.taps, w.conv);
  read.vector(p + "ssm_dt.bias", r.heads, w.step_bias);
  read.vector(p + "ssm_a", r.heads, w.decay);
  read.vector(p + "ssm_norm.weight", r.value_dim, w.norm);
  read.matrix(p + "ssm_out.weight", width, r.inner(), layer.o);
}

void name_recurrent(TensorReader& read, const Description& d, const std::string& p, DecoderLayer& layer) {
  switch (d.recurrence.kind) {
    case RecurrenceKind::kNone:
      break;
    case RecurrenceKind::kShortConv:
      return name_short_conv(read, d, p, layer);
    case RecurrenceKind::kMamba2:
      return name_mamba2(read, d, p, layer);
    case RecurrenceKind::kDeltaNet:
      return name_delta_net(read, d, p, layer);
  }
}

// (channels, taps) -> (taps, channels): lanes own channels.
void transpose_conv(const Recurrence& r, std::vector<float>& conv) {
  if (conv.empty()) return;  // only measured
  std::vector<float> turned(conv.size());
  for (std::size_t c = 0; c < r.channels; ++c) {
    for (std::size_t j = 0; j < r.taps; ++j) turned[j * r.channels + c] = conv[c * r.taps + j];
  }
  conv = std::move(turned);
}

void name_feed_forward(TensorReader& read, const Description& d, const std::string& p, DecoderLayer& l) {
  const ModelConfig& c = d.config;
  if (d.fused_gate_up && !read.has(p + "ffn_gate.weight")) {
    read.rows(p + "ffn_up.weight", 2 * c.hidden, 0, c.hidden, c.width, l.gate);
    read.rows(p + "ffn_up.weight", 2 * c.hidden, c.hidden, c.hidden, c.width, l.up);
  } else {
    read.matrix(p + "ffn_gate.weight", c.hidden, c.width, l.gate);
    read.matrix(p + "ffn_up.weight", c.hidden, c.width, l.up);
  }
  read.matrix(p + "ffn_down.weight", c.width, c.hidden, l.down);
}

void name_experts(TensorReader& read, const Description& d, const std::string& p, ExpertWeights& w) {
  const std::size_t width = d.config.width;
  const Experts& e = d.experts;
  read.matrix(p + "ffn_gate_inp.weight", e.count, width, w.router);
  read.stack(p + "ffn_gate_exps.weight", e.count, e.hidden, width, w.gate);
  read.stack(p + "ffn_up_exps.weight", e.count, e.hidden, width, w.up);
  read.stack(p + "ffn_down_exps.weight", e.count, width, e.hidden, w.down);
  if (e.selection_bias) read.vector(p + "exp_probs_b.bias", e.count, w.selection_bias);
  if (e.biases) {
    read.vector(p + "ffn_gate_inp.bias", e.count, w.router_bias);
    read.table(p + "ffn_gate_exps.bias", e.count, e.hidden, w.gate_bias);
    read.table(p + "ffn_up_exps.bias", e.count, e.hidden, w.up_bias);
    read.table(p + "ffn_down_exps.bias", e.count, width, w.down_bias);
  }
  if (e.shared_hidden != 0) {
    read.matrix(p + "ffn_gate_shexp.weight", e.shared_hidden, width, w.shared_gate);
    read.matrix(p + "ffn_up_shexp.weight", e.shared_hidden, width, w.shared_up);
    read.matrix(p + "ffn_down_shexp.weight", width, e.shared_hidden, w.shared_down);
    if (e.shared_gate) read.matrix(p + "ffn_gate_inp_shexp.weight", 1, width, w.shared_router);
  }
}

void name_layer(TensorReader& read, const Description& d, std::size_t index, DecoderLayer& l) {
  const std::string p = "blk." + std::to_string(index) + ".";
  const std::size_t width = d.config.width;
  if (d.pre_norm) read.vector(p + "attn_norm.weight", width, l.attention_norm);
  if (d.layers[index].recurrent)
    name_recurrent(read, d, p, l);
  else if (d.latent.kv_rank != 0)
    name_latent(read, d, p, l);
  else
    name_attention(read, d, p, l);
  if (d.post_norm) read.vector(p + "post_attention_norm.weight", width, l.attention_post_norm);
  if (d.pre_norm) read.vector(p + d.ffn_norm + ".weight", width, l.ffn_norm);
  if (d.layers[index].experts)
    name_experts(read, d, p, l.experts);
  else
    name_feed_forward(read, d, p, l);
  if (d.post_norm) read.vector(p + "post_ffw_norm.weight", width, l.ffn_post_norm);
}

std::vector<std::string> unused_names(const Description& d) {
  std::vector<std::string> names = d.unused;
  names.insert(names.end(), std::begin(kHarmless), std::end(kHarmless));
  for (std::size_t i = 0; i < d.layers.size(); ++i) {
    for (const std::string_view name : kHarmlessInLayer)
      names.push_back("blk." + std::to_string(i) + "." + std::string(name));
  }
  return names;
}

}  // namespace

double block_weights(const Description& d) {
  const auto n = [](std::size_t v) { return static_cast<double>(v); };
  const ModelConfig& c = d.config;
  const LatentAttention& l = d.latent;
  double attention = n(c.width) * n(c.head_dim) * (2 * n(c.heads) + 2 * n(c.kv_heads));
  if (l.kv_rank != 0) {
    const double query = n(c.heads) * n(l.plain + l.rotated);
    attention = l.q_rank != 0 ? n(l.q_rank) * (n(c.width) + query) : n(c.width) * query;
    attention += n(c.width) * n(l.kv_rank + l.rotated) +
                 n(c.heads) * (n(l.kv_rank) * n(l.plain + l.value) + n(l.value) * n(c.width));
  }
  if (d.attention_gate) attention += n(c.width) * n(c.heads * c.head_dim);
  const Recurrence& r = d.recurrence;
  const bool conv = r.kind == RecurrenceKind::kShortConv;
  const double recurrent = n(c.width) * (n(r.channels) * (conv ? 3 : 1) + n(r.inner()) * (conv ? 1 : 2));
  double weights = 0;
  for (const LayerDescription& layer : d.layers) {
    const Experts& e = d.experts;
    const std::size_t hidden = layer.experts ? e.used * e.hidden + e.shared_hidden : c.hidden;
    weights += (layer.recurrent ? recurrent : attention) + 3 * n(c.width) * n(hidden);
    if (layer.experts) weights += n(e.count) * n(c.width);
  }
  return weights;
}

Status read_weights(const weights::Checkpoint& file, Description& d, const LoadOptions& options,
                    DecoderWeights& out) {
  const ModelConfig& c = d.config;
  TensorReader read(file, options);
  out.layers.resize(c.layers);
  for (std::size_t i = 0; i < c.layers; ++i) name_layer(read, d, i, out.layers[i]);
  read.vector(d.output_norm + ".weight", c.width, out.output_norm);
  std::vector<std::vector<float>> factors(d.ropes.size());
  for (std::size_t i = 0; i < d.ropes.size(); ++i) {
    if (!d.ropes[i].factors.empty()) read.vector(d.ropes[i].factors, d.ropes[i].frequency.size(), factors[i]);
  }
  if (file.tensor("output.weight") != nullptr) {
    out.embedding_in_file = read.in_file("token_embd.weight", c.vocab, c.width);
    read.matrix("output.weight", c.vocab, c.width, out.output);
  } else {
    read.matrix("token_embd.weight", c.vocab, c.width, out.output);
  }
  KVASIR_RETURN_IF_ERROR(read.check(unused_names(d)));
  KVASIR_RETURN_IF_ERROR(read.load());
  for (std::size_t i = 0; i < d.ropes.size(); ++i) {
    for (std::size_t k = 0; k < factors[i].size(); ++k)
      d.ropes[i].frequency[k] /= static_cast<double>(factors[i][k]);
  }
  for (std::size_t i = 0; i < c.layers; ++i) {
    if (d.layers[i].recurrent) transpose_conv(d.recurrence, out.layers[i].recurrent.conv);
  }
  out.bytes = read.bytes();
  return {};
}

}  // namespace kvasir::models
