// Llama (Touvron et al., 2023) and what shares its graph under that architecture name: Llama 1-3, SmolLM2,
// TinyLlama. RMS norm, SwiGLU, grouped-query attention. GGUF stores q and k rows permuted so that rotary
// pairs are neighbours; folders do not, and say so.

#include "models/decoder.h"

namespace kvasir::models {

Result<std::unique_ptr<Model>> load_llama(std::shared_ptr<const weights::Checkpoint> file, ModelConfig config,
                                          const LoadOptions& options) {
  const bool neox = file->boolean("kvasir.rope_neox").value_or(false);
  return Decoder::load(std::move(file), std::move(config), {.rope_interleaved = !neox, .qkv_bias = false},
                       options);
}

}  // namespace kvasir::models
