#pragma once
// How tokens are chosen, under the names of OpenAI, vLLM and llama-server.

#include "api/fields.h"
#include "api/generation.h"

namespace kvasir::api {

// All but the seed. Throws FieldError.
engine::SamplingParams parse_sampling(const Fields& body);

// What ends an answer, beside stop strings: min_tokens and stop_token_ids. Throws FieldError.
void parse_ends(const Fields& body, GenerationOptions& options);

}  // namespace kvasir::api
