#include "models/decoder_weights.h"

#include <string>

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
    read.matrix(p + "attn_q.weight", q, c.width, l.q);
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
  }
}

void name_layer(TensorReader& read, const Description& d, std::size_t index, DecoderLayer& l) {
  const std::string p = "blk." + std::to_string(index) + ".";
  const std::size_t width = d.config.width;
  if (d.pre_norm) read.vector(p + "attn_norm.weight", width, l.attention_norm);
  if (d.latent.kv_rank != 0)
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
  double weights = 0;
  for (const LayerDescription& layer : d.layers) {
    const Experts& e = d.experts;
    const std::size_t hidden = layer.experts ? e.used * e.hidden + e.shared_hidden : c.hidden;
    weights += attention + 3 * n(c.width) * n(hidden);
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
  read.vector("output_norm.weight", c.width, out.output_norm);
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
  out.bytes = read.bytes();
  return {};
}

}  // namespace kvasir::models
