#pragma once
// Anthropic's `system` and `messages` as neutral messages.

#include <cstdint>
#include <string>
#include <vector>

#include "api/anthropic_cache.h"
#include "api/fields.h"
#include "api/thought_signature.h"
#include "chat/conversation.h"

namespace kvasir::api {

struct ParsedMessages {
  std::vector<chat::Message> messages;  // the system prompt first, where there is one
  std::size_t count = 0;                // of the client's own list
  std::vector<CacheBreakpoint> breakpoints;
  // Thinking blocks left out, since this server has not signed them: "messages.1.content.0", as the API names
  // places in its answers.
  std::vector<std::string> foreign_thoughts;
};

// Throws FieldError.
ParsedMessages parse_anthropic_conversation(const Fields& body, const ThoughtSigner& signer);

}  // namespace kvasir::api
