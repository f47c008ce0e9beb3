// Qwen3-Next (2025) and Qwen3.5 (2026): three of four layers are gated delta nets (Yang et al., 2024), the
// fourth is attention whose output is gated by a sigmoid, with a part of each head rotated. Experts as in
// Qwen3-MoE, beside one that all tokens share and gate; Qwen3.5's smaller models have none. In Qwen3.5's
// files heads read their key heads in turn. The layers that guess further tokens are not used; of rotations
// in sections, which tell images' rows from columns, text has one.

#include "models/families.h"

namespace kvasir::models {

void describe_qwen3_next(Metadata& read, Description& d) {
  const std::size_t all = d.layers.size();
  const auto named = read.flags("attention.recurrent_layers", all);
  const std::size_t period = read.size("full_attention_interval", 1024, 4);
  for (std::size_t i = 0; i < all; ++i) d.layers[i].recurrent = named ? (*named)[i] : (i + 1) % period != 0;
  drop_guessing_layers(read, d);

  d.ffn_norm = "post_attention_norm";
  d.qk_norm = QkNorm::kHead;
  d.attention_gate = true;
  read_state_space(read, d, RecurrenceKind::kDeltaNet);

  if (read.optional_size("expert_count", 4096) == 0) return;
  read_experts(read, d);
  d.experts.routing = Routing::kSoftmax;
  d.experts.normalise = read.flag("expert_weights_norm", true);
  d.experts.shared_hidden = read.optional_size("expert_shared_feed_forward_length", 1U << 22);
  d.experts.shared_gate = d.experts.shared_hidden != 0;
}

void describe_qwen35(Metadata& read, Description& d) {
  describe_qwen3_next(read, d);
  d.recurrence.keys_in_turn = read.file().integer("kvasir.keys_in_turn").value_or(1) != 0;
}

}  // namespace kvasir::models
