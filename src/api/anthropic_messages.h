#pragma once
// Anthropic's POST /v1/messages and /v1/messages/count_tokens: the request. The answer is in
// anthropic_response.
//
// Clients such as Claude Code send more than a local model has a use for (betas, server tools, cache_control,
// metadata, images): what cannot be used is left out, never an error.

#include <string_view>

#include "api/generation.h"
#include "base/error.h"

namespace kvasir::api {

// kInvalidArgument names the field in the message and in `subject`.
Result<ChatRequest> parse_anthropic_messages(std::string_view body);
// The same without max_tokens, which this endpoint does not have.
Result<ChatRequest> parse_anthropic_count_tokens(std::string_view body);

std::string anthropic_count_body(std::size_t input_tokens);

}  // namespace kvasir::api
