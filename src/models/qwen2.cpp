// Qwen2 and Qwen2.5 (Yang et al., 2024): the Llama graph with biases on q, k and v, and rotary pairs (i, i +
// d/2). The key biases are large, which is why the KV type is chosen by measurement on this family.

#include "models/families.h"

namespace kvasir::models {

void describe_qwen2(Metadata& /*read*/, Description& d) {
  d.qkv_bias = true;
}

}  // namespace kvasir::models
