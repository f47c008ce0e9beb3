#pragma once
// Fields that OpenAI's bodies share.

#include "api/fields.h"
#include "api/generation.h"

namespace kvasir::api {

// Everything in GenerationOptions but max_tokens and logprobs, which the two endpoints name differently.
// Throws FieldError.
GenerationOptions parse_openai_options(const Fields& body);

// `stop`: a string, or a list of at most `most` strings. Empty strings are dropped. Throws FieldError.
std::vector<std::string> parse_stop(const Fields& body, std::string_view key, std::size_t most);

// Parts that are not text: an error, or a note in their place.
enum class Media { kRefused, kNote };
// A message's text: a string, or a list of parts, which are joined by line breaks. Throws FieldError.
std::string parse_openai_content(const Fields& owner, std::string_view key, bool required,
                                 Media media = Media::kRefused);

}  // namespace kvasir::api
