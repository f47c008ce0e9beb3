#pragma once
// What Anthropic's dialect asks of a request beyond the answer itself, and what its response then tells.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "api/anthropic_cache.h"
#include "api/anthropic_context.h"
#include "api/anthropic_diagnostics.h"
#include "api/thought_signature.h"

namespace kvasir::api {

struct AnthropicWishes {
  std::size_t message_count = 0;  // of the client's own list
  std::vector<CacheBreakpoint> breakpoints;
  std::optional<std::vector<ContextEdit>> edits;  // set where the request has context_management
  std::optional<DiagnosticsWish> diagnostics;
  std::vector<std::string> foreign_thoughts;  // left out: "messages.1.content.0", ...
  bool tells_transformations = false;         // the request has thinking.block_binding
  ThoughtSigner signer;
};

struct AnthropicNotes {
  std::string request_id;
  std::optional<std::uint32_t> max_tokens;  // as asked for: an answer that ends sooner filled the context
  std::vector<CacheMark> marks;
  std::optional<std::vector<AppliedEdit>> edits;
  bool diagnoses = false;  // the request asked for diagnostics
  std::optional<CacheMiss> miss;
  std::optional<std::vector<std::string>> dropped_thoughts;  // set where the request asks to be told
  ThoughtSigner signer;
};

}  // namespace kvasir::api
