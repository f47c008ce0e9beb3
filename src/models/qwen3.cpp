// Qwen3 (Yang et al., 2025): the Llama graph with each head of q and k normed before it is rotated, and, in
// Qwen3-MoE, experts in place of every feed-forward block: softmax over all, the best made to sum to one.

#include "models/families.h"

namespace kvasir::models {

void describe_qwen3(Metadata& /*read*/, Description& d) {
  d.qk_norm = QkNorm::kHead;
}

void describe_qwen3_moe(Metadata& read, Description& d) {
  describe_qwen3(read, d);
  read_experts(read, d);
  d.experts.routing = Routing::kSoftmax;
  d.experts.normalise = read.flag("expert_weights_norm", true);
}

}  // namespace kvasir::models
