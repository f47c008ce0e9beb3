// Gemma 1, 2 and 3 (Gemma Team, 2024 and 2025): embeddings scaled by sqrt(width), GeGLU, norms whose weights
// GGUF stores with 1 added. Gemma 2 norms outputs too, caps scores and logits, and slides every other layer.
// Gemma 3 drops the caps for norms of q and k, and slides five layers of six, which rotate by a base of their
// own.

#include <cmath>

#include "models/families.h"
#include "models/rope.h"

namespace kvasir::models {
namespace {

// The largest of a generation scores by 1 / sqrt(width / heads), the others by 1 / sqrt(head_dim). Files do
// not say which; it has more layers than any other.
void scale_scores(Metadata& read, Description& d, std::size_t layers_of_largest) {
  const ModelConfig& c = d.config;
  const std::size_t share = c.width / c.heads;
  if (c.layers == layers_of_largest) d.attention_scale = 1.0F / std::sqrt(static_cast<float>(share));
  d.attention_scale =
      static_cast<float>(read.number("attention.scale", static_cast<double>(d.attention_scale)));
}

}  // namespace

void describe_gemma(Metadata& /*read*/, Description& d) {
  d.embedding_scale = std::sqrt(static_cast<float>(d.config.width));
  d.activation = Activation::kGeluTanh;
}

void describe_gemma2(Metadata& read, Description& d) {
  describe_gemma(read, d);
  d.post_norm = true;
  d.attention_cap = static_cast<float>(read.number("attn_logit_softcapping", 0));
  d.logit_cap = static_cast<float>(read.number("final_logit_softcapping", 0));
  scale_scores(read, d, 46);
  slide(read, d, 2);
}

void describe_gemma3(Metadata& read, Description& d) {
  describe_gemma(read, d);
  d.post_norm = true;
  d.qk_norm = QkNorm::kHead;
  d.logit_cap = static_cast<float>(read.number("final_logit_softcapping", 0));
  scale_scores(read, d, 62);
  d.ropes = {read_rope(read, d.config.head_dim)};
  if (!slide(read, d, 6)) return;
  d.ropes.push_back(plain_rope(read.number("rope.freq_base_swa", 10000), d.config.head_dim));
  for (LayerDescription& layer : d.layers) {
    if (layer.window != 0) layer.rope = 1;
  }
}

}  // namespace kvasir::models
