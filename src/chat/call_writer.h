#pragma once
// Calls as a family's template writes them, from its row: for templates that cannot write calls themselves,
// for recognising a template's format, and for tests. Pure functions.

#include <span>
#include <string>

#include "chat/conversation.h"
#include "chat/tool_format.h"

namespace kvasir::chat {

// All calls of one turn, delimiters included. Arguments that are no JSON object are written as an empty one.
std::string write_calls(const ToolFormat& format, std::span<const ToolCall> calls);

// A value in a literal syntax.
std::string write_literal(const LiteralStyle& style, const boost::json::value& value);

}  // namespace kvasir::chat
