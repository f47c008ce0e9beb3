#pragma once
// Anthropic's `tools` and `tool_choice`.
//
// A tool with a `type` of Anthropic's own is one of two kinds. What the client runs itself (bash_*,
// text_editor_*, memory_*) has a published form and no schema in the request: it is declared to the model
// with that form. What would run on Anthropic's servers, and what needs pictures (computer_*), is left out
// with a warning; a tool_choice that would force it is `auto`.

#include <string>
#include <vector>

#include "api/deferred_tools.h"
#include "api/fields.h"
#include "chat/conversation.h"

namespace kvasir::api {

// Fills tools, tool_choice and parallel_tool_calls. Throws FieldError.
void parse_anthropic_tools(const Fields& body, const ToolChanges& changes, chat::Conversation& conversation,
                           std::vector<std::string>& warnings);

}  // namespace kvasir::api
