// gpt-oss (OpenAI, 2025): experts everywhere, with biases and a clamped SwiGLU; the chosen experts' logits
// are a softmax among themselves. Every other layer slides; every head has a sink.

#include "models/families.h"

namespace kvasir::models {

void describe_gpt_oss(Metadata& read, Description& d) {
  d.ffn_norm = "post_attention_norm";
  d.qkv_bias = true;
  d.o_bias = true;
  d.sinks = true;
  d.activation = Activation::kClampedSwiglu;
  slide(read, d, 2);
  read_experts(read, d);
  d.experts.routing = Routing::kSoftmaxOfChosen;
  d.experts.biases = true;
}

}  // namespace kvasir::models
