// Llama (Touvron et al., 2023) and what shares its graph under that architecture name: Llama 1-3, SmolLM2,
// TinyLlama. RMS norm, SwiGLU, grouped-query attention. GGUF stores q and k rows permuted so that rotary
// pairs are neighbours.

#include "models/decoder.h"

namespace kvasir::models {

Result<std::unique_ptr<Model>> load_llama(std::shared_ptr<const weights::GgufFile> file, ModelConfig config,
                                          const LoadOptions& options) {
  return Decoder::load(std::move(file), std::move(config), {.rope_interleaved = true, .qkv_bias = false},
                       options);
}

}  // namespace kvasir::models
