#pragma once
// Errors as each API's clients want them. The one place where error codes become HTTP statuses.

#include <string>

#include "base/error.h"

namespace kvasir::api {

enum class Dialect { kOpenAi, kAnthropic };

int http_status(Dialect dialect, ErrorCode code);
// Whether a client may try again later: those answers carry Retry-After.
bool is_retryable(ErrorCode code);
// `request_id`: Anthropic's bodies have it; empty leaves it out.
std::string error_body(Dialect dialect, const Error& error, const std::string& request_id = {});
// The same inside a stream that has begun: one SSE event.
std::string error_event(Dialect dialect, const Error& error, const std::string& request_id = {});

// The prompt alone fills the context. In the words that clients look for. Anthropic's other sentence ("input
// length and `max_tokens` exceed context limit") is never said: agents send the same large max_tokens with
// every request, and to refuse it would only make them send a smaller one. The answer gets what room there
// is, and one that fills it says so in its stop reason.
Error prompt_too_long(Dialect dialect, std::size_t prompt_tokens, std::size_t context_tokens);

}  // namespace kvasir::api
