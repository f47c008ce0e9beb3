#include "models/decoder.h"

#include <algorithm>

#include "weights/dequantize.h"

namespace kvasir::models {
namespace {

// Below this many weights in the blocks, 8-bit activations change answers (docs/decisions/0005), and 15 bits
// still prefill several times faster than llama.cpp.
constexpr double kSmallModelWeights = 2.5e8;

Precision resolve(Precision asked, const Description& d) {
  if (asked != Precision::kAuto) return asked;
  return block_weights(d) < kSmallModelWeights ? Precision::kHigh : Precision::kStandard;
}

const float* data_or_null(std::span<const float> values) {
  return values.empty() ? nullptr : values.data();
}

}  // namespace

Decoder::Decoder(Description d, const LoadOptions& options)
    : d_(std::move(d)),
      precision_(resolve(options.precision, d_)),
      ops_(*options.pool, options.kernels != nullptr ? *options.kernels : kernels::kernels(), options.times),
      attention_(ops_, d_) {
  // Measured (docs/decisions/0005-activation-precision.md): the input of q, k and v and that of the output
  // layer carry half of the divergence of int8 activations for a few percent of the work.
  x_.set_precise(true);
  normed_.set_precise(true);
  last_.set_precise(true);
  const bool high = precision_ == Precision::kHigh;
  attention_.set_bf16(!high);
  attended_.set_precise(high);
  // Experts gather the rows that a block works on, in their precision.
  ffn_normed_.set_precise(high);
  gate_.set_precise(high);
  if (d_.experts.count != 0) experts_.emplace(ops_, d_, d_.pre_norm ? high : true, high);
  if (d_.latent.kv_rank != 0) latent_.emplace(ops_, attention_, d_, high);
  if (d_.recurrence.kind != RecurrenceKind::kNone) recurrent_.emplace(ops_, d_, high);
}

Result<std::unique_ptr<Model>> Decoder::load(std::shared_ptr<const weights::Checkpoint> file, Description d,
                                             const LoadOptions& options) {
  std::unique_ptr<Decoder> model(new Decoder(std::move(d), options));
  KVASIR_RETURN_IF_ERROR(read_weights(*file, model->d_, options, model->weights_));
  model->file_ = std::move(file);
  return std::unique_ptr<Model>(std::move(model));
}

// Rows as floats and as integers with their scales: seven bytes a column (Rows::resize).
std::size_t Decoder::activation_bytes_per_token() const {
  const ModelConfig& c = d_.config;
  const Experts& e = d_.experts;
  const LatentAttention& l = d_.latent;
  const std::size_t plain =
      4 * c.width + 2 * c.heads * c.head_dim + 2 * c.kv_heads * c.head_dim + 2 * c.hidden;
  const std::size_t branch = d_.post_norm || e.count != 0 || d_.residual_scale != 1 ? c.width : 0;
  const std::size_t experts = e.count + e.used * (2 * c.width + 2 * e.hidden) +
                              (e.shared_hidden != 0 ? 2 * e.shared_hidden + c.width : 0);
  const std::size_t latent =
      l.kv_rank == 0 ? 0 : l.q_rank + c.heads * (2 * l.plain + l.rotated + 3 * l.kv_rank + 2 * l.value);
  const std::size_t gate = d_.attention_gate ? 2 * c.heads * c.head_dim : 0;
  const std::size_t recurrent = recurrent_ ? recurrent_->activation_floats_per_token() : 0;
  return 7 * (plain + branch + (e.count != 0 ? experts : 0) + latent + gate + recurrent);
}

std::string Decoder::variant() const {
  return d_.ropes.front().factors == "rope_factors_long.weight" ? "long" : "";
}

void Decoder::embed(TokenId token, float* out) const {
  const auto row = static_cast<std::size_t>(token);
  if (weights_.embedding_in_file == nullptr)
    kernels::dequantize_row(weights_.output, row, out);
  else
    weights::dequantize_rows(*weights_.embedding_in_file, row, 1, out);
  if (d_.embedding_scale != 1) ops_.table().scale(out, d_.embedding_scale, d_.config.width);
}

void Decoder::resize(std::size_t tokens) {
  const ModelConfig& c = d_.config;
  const LatentAttention& l = d_.latent;
  x_.resize(tokens, c.width);
  ffn_normed_.resize(tokens, c.width);
  normed_.resize(tokens, c.width);
  branch_.resize(tokens, c.width);
  if (l.kv_rank == 0) {
    q_.resize(tokens, c.heads * c.head_dim);
    if (d_.attention_gate) q_gate_.resize(tokens, 2 * q_.columns());
    k_.resize(tokens, c.kv_heads * c.head_dim);
    v_.resize(tokens, c.kv_heads * c.head_dim);
  }
  attended_.resize(tokens, c.heads * (l.kv_rank != 0 ? l.value : c.value_dim));
  gate_.resize(tokens, c.hidden);
  up_.resize(tokens, c.hidden);
}

bool Decoder::forward(const Batch& batch) {
  if (ops_.times() != nullptr) ops_.times()->start();
  const PartScope scope(ops_.times(), Part::kOther);
  std::size_t tokens = 0;
  for (const Span& s : batch.spans) tokens += s.tokens.size();
  resize(tokens);
  std::size_t row = 0;
  for (const Span& s : batch.spans) {
    ops_.each(s.tokens.size(), [&](std::size_t t) { embed(s.tokens[t], x_.row(row + t)); });
    row += s.tokens.size();
  }
  attention_.begin(batch);
  for (std::size_t i = 0; i < d_.config.layers; ++i) {
    const bool may_stop = !recurrent_ && batch.interrupt != nullptr;
    if (may_stop && batch.interrupt->load(std::memory_order_relaxed)) return false;
    layer(batch, i);
  }
  output(batch);
  return true;
}

void Decoder::layer(const Batch& batch, std::size_t index) {
  const DecoderLayer& l = weights_.layers[index];

  // x += Wo attention(h), h = norm(x)
  Rows& mixed = attention(batch, index, block_input(l.attention_norm, normed_));
  add_product(l.o, l.o_bias, mixed, l.attention_post_norm);

  // x += Wdown (f(Wgate h) * Wup h), h = norm(x)
  Rows& h = block_input(l.ffn_norm, ffn_normed_);
  if (d_.layers[index].experts) {
    experts_->forward(l.experts, h, branch_);
    ops_.add(x_, branch_, l.ffn_post_norm, d_.config.norm_epsilon, d_.residual_scale);
    return;
  }
  feed_forward(l, h);
  add_product(l.down, {}, gate_, l.ffn_post_norm);
}

Rows& Decoder::block_input(std::span<const float> norm, Rows& normed) {
  if (norm.empty()) {
    ops_.quantize(x_);
    return x_;
  }
  ops_.norm(x_, norm, d_.config.norm_epsilon, normed);
  return normed;
}

Rows& Decoder::attention(const Batch& batch, std::size_t index, Rows& x) {
  const DecoderLayer& l = weights_.layers[index];
  if (d_.layers[index].recurrent) return recurrent_->forward(batch, index, l.recurrent, x);
  const AttentionLayer layer{index, l.q_norm, l.k_norm, l.sinks};
  if (latent_) {
    latent_->forward(batch, layer, l.latent, x, attended_);
    return attended_;
  }
  Rows& q = d_.attention_gate ? q_gate_ : q_;
  const Linear qkv[] = {{&l.q, {q.data(), q.columns(), data_or_null(l.q_bias), false}},
                        {&l.k, {k_.data(), k_.columns(), data_or_null(l.k_bias), false}},
                        {&l.v, {v_.data(), v_.columns(), data_or_null(l.v_bias), false}}};
  ops_.linear(qkv, x);
  if (d_.attention_gate) split_gate();
  attention_.store(batch, layer, q_, k_, v_);
  attention_.attend(batch, layer, q_, attended_);
  if (d_.attention_gate) {
    const std::size_t d = d_.config.head_dim;
    ops_.each(attended_.tokens(), [&](std::size_t t) {
      for (std::size_t i = 0; i < attended_.columns(); i += d)
        ops_.table().sigmoid_mul(q_gate_.row(t) + 2 * i + d, attended_.row(t) + i, d, attended_.row(t) + i);
    });
    ops_.quantize(attended_);
  }
  return attended_;
}

// q_ gets its own rows out of those that hold the gates as well.
void Decoder::split_gate() {
  const std::size_t d = d_.config.head_dim;
  ops_.each(q_.tokens(), [&](std::size_t t) {
    for (std::size_t i = 0; i < q_.columns(); i += d) std::copy_n(q_gate_.row(t) + 2 * i, d, q_.row(t) + i);
  });
}

void Decoder::feed_forward(const DecoderLayer& l, Rows& x) {
  // A product of unquantised weights needs the floats.
  if (kernels::is_quantized(l.down.type)) return ops_.gated_linear(d_.activation, l.gate, l.up, x, gate_);
  const Linear gate_up[] = {{&l.gate, {gate_.data(), gate_.columns(), nullptr, false}},
                            {&l.up, {up_.data(), up_.columns(), nullptr, false}}};
  ops_.linear(gate_up, x);
  ops_.gated(d_.activation, gate_, up_);
}

void Decoder::add_product(const kernels::PackedMatrix& w, std::span<const float> bias, Rows& in,
                          std::span<const float> post_norm) {
  const bool straight = post_norm.empty() && d_.residual_scale == 1;
  Rows& to = straight ? x_ : branch_;
  const Linear product[] = {{&w, {to.data(), to.columns(), data_or_null(bias), straight}}};
  ops_.linear(product, in);
  if (!straight) ops_.add(x_, branch_, post_norm, d_.config.norm_epsilon, d_.residual_scale);
}

void Decoder::output(const Batch& batch) {
  const ModelConfig& c = d_.config;
  std::size_t rows = 0;
  for (const Span& s : batch.spans) rows += s.logits_rows;
  if (rows == 0) return;
  last_.resize(rows, c.width);
  std::size_t to = 0;
  std::size_t row = 0;
  for (const Span& s : batch.spans) {
    row += s.tokens.size();
    for (std::size_t r = row - s.logits_rows; r < row; ++r) {
      std::copy_n(x_.row(r), c.width, last_.row(to++));
    }
  }
  ops_.norm(last_, weights_.output_norm, c.norm_epsilon, last_);
  const Linear logits[] = {{&weights_.output, {batch.logits.data(), c.vocab, nullptr, false}}};
  ops_.linear(logits, last_);
  if (d_.logit_scale == 1 && d_.logit_cap == 0) return;
  ops_.each(rows, [&](std::size_t r) {
    const std::span<float> of_row = batch.logits.subspan(r * c.vocab, c.vocab);
    if (d_.logit_scale != 1) {
      for (float& v : of_row) v *= d_.logit_scale;
    }
    if (d_.logit_cap != 0) ops_.table().soft_cap(of_row.data(), d_.logit_cap, c.vocab);
  });
}

}  // namespace kvasir::models
