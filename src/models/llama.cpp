// Llama (Touvron et al., 2023) and what shares its graph under that architecture name: Llama 1-3.x, Mistral,
// Ministral 8B, Mixtral, SmolLM2, TinyLlama. RMS norm, SwiGLU, grouped-query attention. GGUF stores q and k
// rows permuted so that rotary pairs are neighbours; folders do not, and say so. Llama 3.1's long contexts
// come as the tensor rope_freqs.weight, Mistral's window as attention.sliding_window.

#include "models/families.h"

namespace kvasir::models {

void describe_llama(Metadata& read, Description& d) {
  d.rope_interleaved = pairs_are_neighbours(read);
  d.qkv_bias = read.has_tensor("blk.0.attn_q.bias");
  d.o_bias = read.has_tensor("blk.0.attn_output.bias");
  slide(read, d, 1);
  if (read.optional_size("expert_count", 4096) != 0) {
    read_experts(read, d);
    d.experts.routing = Routing::kSoftmaxOfChosen;
  }
}

}  // namespace kvasir::models
