#pragma once
// Errors as each API's clients want them. The one place where error codes become HTTP statuses.

#include <string>

#include "base/error.h"

namespace kvasir::api {

enum class Dialect { kOpenAi, kAnthropic };

int http_status(ErrorCode code);
// Whether a client may try again later: those answers carry Retry-After.
bool is_retryable(ErrorCode code);
std::string error_body(Dialect dialect, const Error& error);
// The same inside a stream that has begun: one SSE event.
std::string error_event(Dialect dialect, const Error& error);

// The prompt alone fills the context. In the words that clients look for.
Error prompt_too_long(Dialect dialect, std::size_t prompt_tokens, std::size_t context_tokens);

}  // namespace kvasir::api
