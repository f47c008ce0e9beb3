#pragma once
// Grammars (llguidance's Lark dialect) for tool calls and structured answers, from the format's description
// and the tools' schemas. Pure functions; the compiled side is in tool_constraint.

#include <span>
#include <string>
#include <string_view>

#include "chat/conversation.h"
#include "chat/tool_format.h"

namespace kvasir::chat {

// How strictly a tool's parameter schema is taken. A schema may use what the grammar engine does not know; a
// request that declares such a tool is served with the next looser reading of all schemas.
enum class SchemaReading {
  kStrict,   // an unknown keyword is an error
  kLenient,  // unknown keywords are ignored
  kObject,   // any JSON object
};

// One or more calls (or exactly one, where !parallel) to `tools`, delimiters included, and nothing else.
std::string calls_grammar(const ToolFormat& format, std::span<const Tool> tools, bool parallel,
                          SchemaReading reading);
// The same, or text that fits `answer`.
std::string calls_or_answer_grammar(const ToolFormat& format, std::span<const Tool> tools, bool parallel,
                                    const ResponseFormat& answer, SchemaReading reading);
// What follows the opening delimiter of one call, to the end of the closing one. Where `more_follows`, the
// token that ends the call may run on into what comes after it (`"}}` and a line break are one token in many
// vocabularies): the grammar is complete, and accepts, from the call's last character on.
std::string call_rest_grammar(const ToolFormat& format, std::span<const Tool> tools, bool more_follows,
                              SchemaReading reading);
// What follows `{"name": "<tool>", "arguments":` of a bare call, to the closing brace. `more_follows`
// as above.
std::string bare_call_rest_grammar(const Tool& tool, bool more_follows, SchemaReading reading);
// `grammar`, after the line breaks that models write behind a thought.
std::string after_thought(std::string grammar);
// A whole answer in this format (not kText).
std::string answer_grammar(const ResponseFormat& format);

}  // namespace kvasir::chat
