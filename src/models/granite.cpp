// Granite 3 (2024): the Llama graph with multipliers on embeddings, residuals, scores and logits (Yang et
// al., "Tensor Programs V", 2022), and, as granitemoe, experts whose chosen logits are a softmax among
// themselves, with or without one that all tokens share.

#include "models/families.h"

namespace kvasir::models {

void describe_granite(Metadata& read, Description& d) {
  d.rope_interleaved = pairs_are_neighbours(read);
  d.embedding_scale = static_cast<float>(read.number("embedding_scale", 1));
  d.residual_scale = static_cast<float>(read.number("residual_scale", 1));
  d.logit_scale = static_cast<float>(1.0 / read.required_number("logit_scale"));
  d.attention_scale =
      static_cast<float>(read.number("attention.scale", static_cast<double>(d.attention_scale)));
  if (!read.flag("rope.scaling.finetuned", true)) {
    for (LayerDescription& layer : d.layers) layer.rope = kNoRope;
  }
  if (read.optional_size("expert_count", 4096) != 0) {
    read_experts(read, d);
    d.experts.routing = Routing::kSoftmaxOfChosen;
    d.experts.shared_hidden = read.optional_size("expert_shared_feed_forward_length", 1U << 22);
  }
}

// Granite 4 (2025): most layers are Mamba 2 (Dao and Gu, 2024) in place of attention, which has no rotation.
void describe_granite_hybrid(Metadata& read, Description& d) {
  describe_granite(read, d);
  read_state_space(read, d, RecurrenceKind::kMamba2);
}

}  // namespace kvasir::models
