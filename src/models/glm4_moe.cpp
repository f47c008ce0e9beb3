// GLM-4.5, 4.6 and 4.7 (Zhipu, 2025): the Llama graph with biases on q, k and v, half of each head rotated,
// and, after the first layers, experts chosen as in DeepSeek-V3: a sigmoid each, with a bias to choose by,
// and one expert that all tokens share. The larger ones norm q and k. The layers that guess further tokens
// are not used.

#include "models/families.h"

namespace kvasir::models {

void describe_glm4_moe(Metadata& read, Description& d) {
  drop_guessing_layers(read, d);
  d.ffn_norm = "post_attention_norm";
  d.qkv_bias = read.has_tensor("blk.0.attn_q.bias");
  if (read.has_tensor("blk.0.attn_q_norm.weight")) d.qk_norm = QkNorm::kHead;
  read_experts(read, d, read.optional_size("leading_dense_block_count", 1024));
  read_routing(read, d, Routing::kSigmoid);
  d.experts.shared_hidden = d.experts.hidden * read.optional_size("expert_shared_count", 256);
  if (read.has("rope.dimension_sections")) read.refuse("rotation in sections (of images) is not supported");
}

}  // namespace kvasir::models
