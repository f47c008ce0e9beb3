#pragma once
// Grammars (llguidance's Lark dialect) for tool calls and structured answers, from the format's description
// and the tools' schemas. Pure functions; the compiled side is in tool_constraint.

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "chat/conversation.h"
#include "chat/schema_grammar.h"
#include "chat/template_traits.h"

namespace kvasir::chat {

struct CallableTool {
  const Tool* tool = nullptr;  // outlives the grammar's writing
  SchemaReading reading = SchemaReading::kStrict;
};

struct CallGrammarContext {
  const ToolFormat* format = nullptr;
  std::span<const Marker> markers;
  std::span<const CallableTool> tools;
  bool parallel = true;
  std::string_view opened;  // an opener of a call that the prompt has written already
};

// One or more calls (or exactly one, where !parallel), delimiters included, and nothing else.
std::string calls_grammar(const CallGrammarContext& context);
// The same, or text that fits `answer`.
std::string calls_or_answer_grammar(const CallGrammarContext& context, const ResponseFormat& answer);
// What follows `opener` (one of call_openers()) to the end of what it opened. Where calls may be parallel,
// the token that ends the call may run on into what comes after it (`"}}` and a line break are one token in
// many vocabularies): the grammar is complete, and accepts, from the call's last character on.
std::string call_rest_grammar(const CallGrammarContext& context, std::string_view opener);
// What follows `{"name": "<tool>", "arguments":` of a bare call, to the closing brace. `more_follows`: the
// last token may run on.
std::string bare_call_rest_grammar(const CallableTool& tool, bool more_follows);
// `grammar`, after the line breaks that models write behind a thought and what opens the next part of the
// turn.
std::string after_thought(const ToolFormat& format, std::span<const Marker> markers, std::string grammar);
// A whole answer in this format (not kText).
std::string answer_grammar(const ToolFormat& tool_format, std::span<const Marker> markers,
                           std::string_view opened, const ResponseFormat& format);

}  // namespace kvasir::chat
