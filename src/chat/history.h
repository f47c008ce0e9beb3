#pragma once
// Fits a conversation to what a template can show, so that nothing of it is lost: system turns where they are
// taken, calls and results as the template writes them, or as text where it does not. Pure functions.

#include <vector>

#include "chat/conversation.h"
#include "chat/template_traits.h"

namespace kvasir::chat {

// The turns as the template is to see them. Tools that it does not declare are described in the first.
std::vector<Message> fitted_messages(const Conversation& conversation, const TemplateTraits& traits);

// A declared tool in the shape that templates expect.
boost::json::object tool_json(const Tool& tool);

// A failed call's result says so even where the template has no place for it.
std::string result_text(const Message& message);

}  // namespace kvasir::chat
