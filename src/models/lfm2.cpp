// LFM2 (Liquid AI, 2025): the Llama graph with each head of q and k normed, where most layers have, instead
// of attention, a convolution over a few tokens, gated before and after: W_out (C * conv(B * x)). In
// LFM2-MoE, all but the first layers have experts, a sigmoid each, with a bias to choose by.

#include "models/families.h"

namespace kvasir::models {

void describe_lfm2(Metadata& read, Description& d) {
  d.qk_norm = QkNorm::kHead;
  d.output_norm = "token_embd_norm";
  d.recurrence.kind = RecurrenceKind::kShortConv;
  d.recurrence.taps = read.size("shortconv.l_cache", kernels::kMaxTaps);
  d.recurrence.channels = d.config.width;
  slide(read, d, 1);
  if (!read.flag("attention.causal", true))
    read.refuse("tokens that see what comes after them (of embedding models) are not supported");
}

void describe_lfm2_moe(Metadata& read, Description& d) {
  describe_lfm2(read, d);
  read_experts(read, d, read.optional_size("leading_dense_block_count", 1024));
  read_routing(read, d, Routing::kSigmoid);
  d.experts.normalise = read.flag("expert_weights_norm", true);
}

}  // namespace kvasir::models
