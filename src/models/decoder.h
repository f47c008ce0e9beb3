#pragma once
// The pre-norm decoder that the Llama and Qwen2 families share: its weights, how they are read, and the
// forward pass. A family's own file says what is its own (rotation, biases) and hands it over as
// DecoderOptions.

#include <memory>
#include <vector>

#include "models/model.h"
#include "models/ops.h"

namespace kvasir::models {

struct DecoderOptions {
  bool rope_interleaved = false;  // pairs (2i, 2i + 1) instead of (i, i + d/2)
  bool qkv_bias = false;          // q, k and v projections have biases
};

struct DecoderLayer {
  std::vector<float> attention_norm;  // (width)
  kernels::PackedMatrix q, k, v;      // (heads * head_dim, width), (kv_heads * head_dim, width) twice
  std::vector<float> q_bias, k_bias, v_bias;
  kernels::PackedMatrix o;         // (width, heads * head_dim)
  std::vector<float> ffn_norm;     // (width)
  kernels::PackedMatrix gate, up;  // (hidden, width)
  kernels::PackedMatrix down;      // (width, hidden)
};

class Decoder final : public Model {
 public:
  static Result<std::unique_ptr<Model>> load(std::shared_ptr<const weights::Checkpoint> file,
                                             ModelConfig config, DecoderOptions decoder,
                                             const LoadOptions& options);

  const ModelConfig& config() const override { return config_; }
  std::size_t weight_bytes() const override { return weight_bytes_; }
  double matrix_weights() const override { return matrix_weights_; }
  Precision precision() const override { return precision_; }
  bool forward(const Batch& batch) override;

 private:
  Decoder(ModelConfig config, DecoderOptions decoder, const LoadOptions& options);
  void embed(TokenId token, float* out) const;
  void layer(const Batch& batch, std::size_t index);
  void output(const Batch& batch);
  friend class DecoderReader;

  ModelConfig config_;
  DecoderOptions decoder_;
  Precision precision_;
  Ops ops_;
  std::shared_ptr<const weights::Checkpoint> file_;
  const weights::TensorInfo* embedding_in_file_ =
      nullptr;                       // null where the output matrix is also the embedding
  kernels::PackedMatrix output_;     // (vocab, width)
  std::vector<float> output_norm_;   // (width)
  std::vector<float> rope_factors_;  // (head_dim / 2) or empty
  std::vector<DecoderLayer> layers_;
  std::size_t weight_bytes_ = 0;
  double matrix_weights_ = 0;

  // Activations of the batch in flight.
  Rows x_, normed_, ffn_normed_, q_, k_, v_, attended_, gate_, up_, last_;
};

}  // namespace kvasir::models
