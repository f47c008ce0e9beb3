// Phi-3 (Abdin et al., 2024), Phi-4 and Phi-4-mini: the Llama graph with q, k and v in one tensor, gate and
// up in another, rotation of a part of each head, and LongRoPE factors for contexts beyond the trained one.

#include "models/families.h"
#include "models/rope.h"

namespace kvasir::models {

void describe_phi3(Metadata& read, Description& d) {
  d.fused_qkv = true;
  d.fused_gate_up = true;
  slide(read, d, 1);
  if (read.has_tensor("rope_factors_long.weight")) {
    d.ropes = {read_longrope(read, d.config.head_dim, d.config.served_context)};
    d.unused = {"rope_factors_long.weight", "rope_factors_short.weight"};
  }
}

}  // namespace kvasir::models
