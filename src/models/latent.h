#pragma once
// Multi-head latent attention (DeepSeek-V2, 2024), in its absorbed form: instead of expanding every token's
// latent to keys and values of all heads, queries are brought into the latent's space by W_kb and outputs
// back by W_vb. So one key (latent and rotated part) and one value (latent) a token are kept.

#include <vector>

#include "models/attention.h"

namespace kvasir::models {

struct LatentWeights {
  kernels::PackedMatrix q_down;          // (q_rank, width), where there is a q_rank
  std::vector<float> q_norm;             // (q_rank)
  kernels::PackedMatrix q;               // (heads * (plain + rotated), q_rank or width)
  kernels::PackedMatrix kv_down;         // (kv_rank + rotated, width)
  std::vector<float> kv_norm;            // (kv_rank)
  std::vector<kernels::PackedMatrix> k;  // heads of (kv_rank, plain)
  std::vector<kernels::PackedMatrix> v;  // heads of (value, kv_rank)
};

class LatentForward {
 public:
  LatentForward(Ops& ops, Attention& attention, const Description& description, bool precise);

  // out (tokens, heads * value), quantised: what W_o is applied to. x is quantised.
  void forward(const Batch& batch, const AttentionLayer& layer, const LatentWeights& weights, Rows& x,
               Rows& out);

 private:
  void project_queries(const LatentWeights& weights, Rows& x);
  void project_keys(const Batch& batch, const AttentionLayer& layer, const LatentWeights& weights, Rows& x);
  // One product for each head, of rows that lie head by head: y (heads * tokens) = w[head] x.
  void per_head(const std::vector<kernels::PackedMatrix>& w, Rows& x, Rows& y);

  Ops& ops_;
  Attention& attention_;
  const Description& d_;
  Rows q_down_, q_, key_;
  Rows plain_, absorbed_;  // (heads * tokens, plain) and (heads * tokens, kv_rank)
  Rows query_, attended_;  // (tokens, heads * head_dim), (tokens, heads * kv_rank)
  Rows latent_, values_;   // (heads * tokens, kv_rank), (heads * tokens, value)
};

}  // namespace kvasir::models
