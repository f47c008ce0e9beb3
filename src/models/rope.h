#pragma once
// Rotary embeddings and the ways to stretch them over longer contexts than a model was trained for.

#include "models/description.h"
#include "models/metadata.h"

namespace kvasir::models {

// Plain frequencies base^(-2i / dimensions), positions multiplied by `scale`.
Rope plain_rope(double base, std::size_t dimensions, double scale = 1);

// What the file's `rope.*` keys say: base, dimension count, and scaling none, linear or yarn (Peng et al.,
// 2023). Llama 3's own scaling comes as the tensor rope_freqs.weight. Others are refused by name.
Rope read_rope(Metadata& read, std::size_t head_dim);

// LongRoPE (Ding et al., 2024), as Phi-3 has it: factors of their own for the trained context and for longer
// ones. `context` is the longest that will be served: one set is chosen by it for the model's whole life,
// since keys turned by one set do not fit queries turned by the other (docs/decisions/0016-longrope.md).
Rope read_longrope(Metadata& read, std::size_t head_dim, std::size_t context);

}  // namespace kvasir::models
