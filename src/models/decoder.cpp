#include "models/decoder.h"

#include <algorithm>

#include "weights/dequantize.h"
#include "weights/repack.h"

namespace kvasir::models {
namespace {

// Below this many weights in the blocks, 8-bit activations change answers (docs/decisions/0005), and 15 bits
// still prefill several times faster than llama.cpp.
constexpr double kSmallModelWeights = 2.5e8;

Precision resolve(Precision asked, const ModelConfig& c) {
  if (asked != Precision::kAuto) return asked;
  const auto n = [](std::size_t v) { return static_cast<double>(v); };
  const double attention = n(c.width) * n(c.head_dim) * (2 * n(c.heads) + 2 * n(c.kv_heads));
  const double weights = n(c.layers) * (attention + 3 * n(c.width) * n(c.hidden));
  return weights < kSmallModelWeights ? Precision::kHigh : Precision::kStandard;
}

}  // namespace

// Reads tensors by name and checks their shapes; the first failure is kept.
class DecoderReader {
 public:
  DecoderReader(const weights::Checkpoint& file, Decoder& model, const LoadOptions& options)
      : file_(file), model_(model), options_(options), total_(static_cast<double>(file.tensor_bytes())) {}

  Status read() {
    const ModelConfig& c = model_.config_;
    const std::size_t q = c.heads * c.head_dim;
    const std::size_t kv = c.kv_heads * c.head_dim;
    for (std::size_t i = 0; i < c.layers; ++i) {
      DecoderLayer& l = model_.layers_[i];
      const std::string p = "blk." + std::to_string(i) + ".";
      vector(p + "attn_norm.weight", c.width, l.attention_norm);
      matrix(p + "attn_q.weight", q, c.width, l.q);
      matrix(p + "attn_k.weight", kv, c.width, l.k);
      matrix(p + "attn_v.weight", kv, c.width, l.v);
      if (model_.decoder_.qkv_bias) {
        vector(p + "attn_q.bias", q, l.q_bias);
        vector(p + "attn_k.bias", kv, l.k_bias);
        vector(p + "attn_v.bias", kv, l.v_bias);
      }
      matrix(p + "attn_output.weight", c.width, q, l.o);
      vector(p + "ffn_norm.weight", c.width, l.ffn_norm);
      matrix(p + "ffn_gate.weight", c.hidden, c.width, l.gate);
      matrix(p + "ffn_up.weight", c.hidden, c.width, l.up);
      matrix(p + "ffn_down.weight", c.width, c.hidden, l.down);
      if (!status_.ok()) return status_;
    }
    vector("output_norm.weight", c.width, model_.output_norm_);
    if (file_.tensor("rope_freqs.weight") != nullptr) {
      vector("rope_freqs.weight", c.head_dim / 2, model_.rope_factors_);
    }
    const weights::TensorInfo* embedding = find("token_embd.weight", c.vocab, c.width);
    if (file_.tensor("output.weight") != nullptr) {
      model_.embedding_in_file_ = embedding;
      matrix("output.weight", c.vocab, c.width, model_.output_);
    } else {
      matrix("token_embd.weight", c.vocab, c.width, model_.output_);
    }
    return status_;
  }

 private:
  const weights::TensorInfo* find(const std::string& name, std::size_t rows, std::size_t columns) {
    if (!status_.ok()) return nullptr;
    const weights::TensorInfo* t = file_.tensor(name);
    if (t == nullptr) {
      fail("tensor '" + name + "' is missing");
      return nullptr;
    }
    if (t->rows() != rows || t->columns() != columns) {
      fail("tensor '" + name + "' has shape (" + std::to_string(t->rows()) + ", " +
           std::to_string(t->columns()) + "), expected (" + std::to_string(rows) + ", " +
           std::to_string(columns) + ")");
      return nullptr;
    }
    return t;
  }

  void vector(const std::string& name, std::size_t n, std::vector<float>& out) {
    if (const weights::TensorInfo* t = find(name, 1, n)) {
      out = weights::dequantize(*t);
      model_.weight_bytes_ += n * sizeof(float);
    }
  }

  void matrix(const std::string& name, std::size_t rows, std::size_t columns, kernels::PackedMatrix& out) {
    const weights::TensorInfo* t = find(name, rows, columns);
    if (t == nullptr) return;
    auto packed = weights::repack(*t, *options_.pool);
    if (!packed.ok()) {
      status_ = packed.error();
      return;
    }
    out = std::move(packed).value();
    file_.release(*t);
    model_.weight_bytes_ += out.data.size();
    const bool output = &out == &model_.output_;
    if (!output) model_.matrix_weights_ += static_cast<double>(rows) * static_cast<double>(columns);
    done_ += static_cast<double>(t->bytes());
    if (options_.progress) options_.progress(std::min(1.0, done_ / total_));
  }

  void fail(const std::string& what) {
    status_ = make_error(ErrorCode::kCorruptData, file_.path() + ": " + what, file_.path());
  }

  const weights::Checkpoint& file_;
  Decoder& model_;
  const LoadOptions& options_;
  double total_;
  double done_ = 0;
  Status status_;
};

Decoder::Decoder(ModelConfig config, DecoderOptions decoder, const LoadOptions& options)
    : config_(std::move(config)),
      decoder_(decoder),
      precision_(resolve(options.precision, config_)),
      ops_(*options.pool, options.kernels != nullptr ? *options.kernels : kernels::kernels()),
      layers_(config_.layers) {
  // Measured (docs/decisions/0005-activation-precision.md): the input of q, k and v and that of the output
  // layer carry half of the divergence of int8 activations for a few percent of the work.
  normed_.set_precise(true);
  last_.set_precise(true);
  const bool high = precision_ == Precision::kHigh;
  ops_.set_bf16_attention(!high);
  attended_.set_precise(high);
  ffn_normed_.set_precise(high);
  gate_.set_precise(high);
}

Result<std::unique_ptr<Model>> Decoder::load(std::shared_ptr<const weights::Checkpoint> file,
                                             ModelConfig config, DecoderOptions decoder,
                                             const LoadOptions& options) {
  std::unique_ptr<Decoder> model(new Decoder(std::move(config), decoder, options));
  KVASIR_RETURN_IF_ERROR(DecoderReader(*file, *model, options).read());
  model->file_ = std::move(file);
  return std::unique_ptr<Model>(std::move(model));
}

void Decoder::embed(TokenId token, float* out) const {
  const auto row = static_cast<std::size_t>(token);
  if (embedding_in_file_ == nullptr) {
    kernels::dequantize_row(output_, row, out);
    return;
  }
  weights::dequantize_rows(*embedding_in_file_, row, 1, out);
}

bool Decoder::forward(const Batch& batch) {
  const ModelConfig& c = config_;
  std::size_t tokens = 0;
  for (const Span& s : batch.spans) tokens += s.tokens.size();
  x_.resize(tokens, c.width);
  ffn_normed_.resize(tokens, c.width);
  normed_.resize(tokens, c.width);
  q_.resize(tokens, c.heads * c.head_dim);
  k_.resize(tokens, c.kv_heads * c.head_dim);
  v_.resize(tokens, c.kv_heads * c.head_dim);
  attended_.resize(tokens, c.heads * c.head_dim);
  gate_.resize(tokens, c.hidden);
  up_.resize(tokens, c.hidden);

  std::size_t row = 0;
  for (const Span& s : batch.spans) {
    ops_.each(s.tokens.size(), [&](std::size_t t) { embed(s.tokens[t], x_.row(row + t)); });
    row += s.tokens.size();
  }
  ops_.rope_tables(batch, c, rope_factors_);
  for (std::size_t i = 0; i < c.layers; ++i) {
    if (batch.interrupt != nullptr && batch.interrupt->load(std::memory_order_relaxed)) return false;
    layer(batch, i);
  }
  output(batch);
  return true;
}

void Decoder::layer(const Batch& batch, std::size_t index) {
  const ModelConfig& c = config_;
  const DecoderLayer& l = layers_[index];
  const auto bias = [](const std::vector<float>& b) { return b.empty() ? nullptr : b.data(); };

  // x += Wo attention(rope(Wq h), rope(Wk h), Wv h), h = norm(x)
  ops_.norm(x_, l.attention_norm, c.norm_epsilon, normed_);
  const Linear qkv[] = {{&l.q, {q_.data(), q_.columns(), bias(l.q_bias), false}},
                        {&l.k, {k_.data(), k_.columns(), bias(l.k_bias), false}},
                        {&l.v, {v_.data(), v_.columns(), bias(l.v_bias), false}}};
  ops_.linear(qkv, normed_);
  ops_.rope_and_store(batch, c, decoder_.rope_interleaved, index, q_, k_, v_);
  ops_.attention(batch, c, index, q_, attended_);
  const Linear o[] = {{&l.o, {x_.data(), x_.columns(), nullptr, true}}};
  ops_.linear(o, attended_);

  // x += Wdown (silu(Wgate h) * Wup h), h = norm(x)
  ops_.norm(x_, l.ffn_norm, c.norm_epsilon, ffn_normed_);
  const Linear gate_up[] = {{&l.gate, {gate_.data(), gate_.columns(), nullptr, false}},
                            {&l.up, {up_.data(), up_.columns(), nullptr, false}}};
  ops_.linear(gate_up, ffn_normed_);
  ops_.silu_mul(gate_, up_);
  const Linear down[] = {{&l.down, {x_.data(), x_.columns(), nullptr, true}}};
  ops_.linear(down, gate_);
}

void Decoder::output(const Batch& batch) {
  std::size_t rows = 0;
  for (const Span& s : batch.spans) rows += s.logits_rows;
  if (rows == 0) return;
  last_.resize(rows, config_.width);
  std::size_t to = 0;
  std::size_t row = 0;
  for (const Span& s : batch.spans) {
    row += s.tokens.size();
    for (std::size_t r = row - s.logits_rows; r < row; ++r) {
      std::copy_n(x_.row(r), config_.width, last_.row(to++));
    }
  }
  ops_.norm(last_, output_norm_, config_.norm_epsilon, last_);
  const Linear logits[] = {{&output_, {batch.logits.data(), config_.vocab, nullptr, false}}};
  ops_.linear(logits, last_);
}

}  // namespace kvasir::models
