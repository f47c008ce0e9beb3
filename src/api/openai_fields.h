#pragma once
// Fields that OpenAI's chat and completions bodies share.

#include "api/fields.h"
#include "api/generation.h"

namespace kvasir::api {

// Everything in GenerationOptions but max_tokens and logprobs, which the two endpoints name differently.
// Throws FieldError.
GenerationOptions parse_openai_options(const Fields& body);

// `stop`: a string, or a list of at most `most` strings. Empty strings are dropped. Throws FieldError.
std::vector<std::string> parse_stop(const Fields& body, std::string_view key, std::size_t most);

}  // namespace kvasir::api
