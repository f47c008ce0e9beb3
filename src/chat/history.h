#pragma once
// Fits a conversation to what a template can show, so that nothing of it is lost: system turns where they are
// taken, calls and results as the template writes them, or as text where it does not. Pure functions.

#include <string>
#include <vector>

#include "chat/conversation.h"
#include "chat/template_traits.h"

namespace kvasir::chat {

// The turns as the template is to see them. Tools that it does not declare are described in the first.
std::vector<Message> fitted_messages(const Conversation& conversation, const TemplateTraits& traits);

// A declared tool in the shape that templates expect.
boost::json::object tool_json(const Tool& tool);
// The same as text, on one line.
std::string tool_text(const Tool& tool);
// Whether any tool is to stand at the prompt's head.
bool declares_tools(const Conversation& conversation);

// A failed call's result says so even where the template has no place for it.
std::string result_text(const Message& message);

}  // namespace kvasir::chat
