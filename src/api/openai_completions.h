#pragma once
// OpenAI's POST /v1/completions: the request. The answer is in openai_completions_response.

#include <string_view>

#include "api/generation.h"
#include "base/error.h"

namespace kvasir::api {

// kInvalidArgument names the field in the message and in `subject`.
Result<CompletionRequest> parse_openai_completions(std::string_view body);

}  // namespace kvasir::api
