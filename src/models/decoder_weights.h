#pragma once
// The decoder's weights, and how they are read by the names that GGUF has for them.

#include <cstddef>
#include <vector>

#include "models/description.h"
#include "models/latent.h"
#include "models/moe.h"
#include "models/recurrent.h"

namespace kvasir::models {

// Empty where the description has no such thing.
struct DecoderLayer {
  std::vector<float> attention_norm;  // (width)
  kernels::PackedMatrix q, k, v;      // (heads * head_dim, width), (kv_heads * head_dim, width) twice
  std::vector<float> q_bias, k_bias, v_bias;
  std::vector<float> q_norm, k_norm;  // (head_dim), or over all heads
  std::vector<float> sinks;           // (heads)
  LatentWeights latent;               // instead of q, k, v
  RecurrentWeights recurrent;         // the same
  kernels::PackedMatrix o;            // (width, heads * value_dim), or recurrent: (width, inner)
  std::vector<float> o_bias;
  std::vector<float> attention_post_norm;  // (width)

  std::vector<float> ffn_norm;       // (width)
  kernels::PackedMatrix gate, up;    // (hidden, width)
  kernels::PackedMatrix down;        // (width, hidden)
  ExpertWeights experts;             // instead of gate, up, down
  std::vector<float> ffn_post_norm;  // (width)
};

struct DecoderWeights {
  std::vector<DecoderLayer> layers;
  std::vector<float> output_norm;                          // (width)
  kernels::PackedMatrix output;                            // (vocab, width)
  const weights::TensorInfo* embedding_in_file = nullptr;  // null where `output` is also the embedding
  std::size_t bytes = 0;                                   // resident
};

// Weights that every read token is multiplied with: of its own experts only, and not the output layer's.
double block_weights(const Description& d);

// Checks that all tensors are there and shaped as described, then reads them. Ropes get their factors.
Status read_weights(const weights::Checkpoint& file, Description& d, const LoadOptions& options,
                    DecoderWeights& out);

}  // namespace kvasir::models
