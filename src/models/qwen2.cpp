// Qwen2 and Qwen2.5 (Yang et al., 2024): the Llama graph with biases on q, k and v, and rotary pairs (i, i +
// d/2). The key biases are large, which is why the KV type is chosen by measurement on this family.

#include "models/decoder.h"

namespace kvasir::models {

Result<std::unique_ptr<Model>> load_qwen2(std::shared_ptr<const weights::Checkpoint> file, ModelConfig config,
                                          const LoadOptions& options) {
  return Decoder::load(std::move(file), std::move(config), {.rope_interleaved = false, .qkv_bias = true},
                       options);
}

}  // namespace kvasir::models
