#pragma once
// The decoder that all families share: computes what a Description says.

#include <memory>
#include <optional>
#include <vector>

#include "models/attention.h"
#include "models/decoder_weights.h"
#include "models/latent.h"
#include "models/model.h"
#include "models/moe.h"
#include "models/ops.h"
#include "models/recurrent.h"

namespace kvasir::models {

class Decoder final : public Model {
 public:
  static Result<std::unique_ptr<Model>> load(std::shared_ptr<const weights::Checkpoint> file, Description d,
                                             const LoadOptions& options);

  const ModelConfig& config() const override { return d_.config; }
  std::size_t weight_bytes() const override { return weights_.bytes; }
  double matrix_weights() const override { return block_weights(d_); }
  Precision precision() const override { return precision_; }
  std::size_t activation_bytes_per_token() const override;
  std::string variant() const override;
  bool forward(const Batch& batch) override;

 private:
  Decoder(Description d, const LoadOptions& options);
  void resize(std::size_t tokens);
  void embed(TokenId token, float* out) const;
  void layer(const Batch& batch, std::size_t index);
  // Of a layer's input (x, quantised): what attention's last matrix works on, and gate_, which that of the
  // feed-forward block does.
  Rows& attention(const Batch& batch, std::size_t index, Rows& x);
  void split_gate();
  void feed_forward(const DecoderLayer& layer, Rows& x);
  // What a block works on: norm(x), or x itself.
  Rows& block_input(std::span<const float> norm, Rows& normed);
  // x += scale * norm(W in + bias), as far as the family has them.
  void add_product(const kernels::PackedMatrix& w, std::span<const float> bias, Rows& in,
                   std::span<const float> post_norm);
  void output(const Batch& batch);

  Description d_;
  Precision precision_;
  Ops ops_;
  Attention attention_;
  std::optional<MixtureOfExperts> experts_;
  std::optional<LatentForward> latent_;
  std::optional<RecurrentForward> recurrent_;
  std::shared_ptr<const weights::Checkpoint> file_;
  DecoderWeights weights_;

  // Activations of the batch in flight.
  Rows x_, normed_, ffn_normed_, q_, q_gate_, k_, v_, attended_, gate_, up_, branch_, last_;
};

}  // namespace kvasir::models
