#pragma once
// How a model family writes tool calls and thoughts, as data. The grammar (tool_constraint), the parser
// (output_parser) and the prompt's fallback description (prompt) all read the same ToolFormat, so a family is
// added by adding a row to known_tool_formats(), and a new argument style by adding one enumerator and its
// reader and writer. Why: docs/decisions/0004-tool-formats-as-data.md.

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "chat/conversation.h"

namespace kvasir::chat {

enum class ArgumentStyle {
  kJsonCall,  // one JSON object that holds the name and the arguments: {"name": N, "arguments": {...}}
};

// How several calls of one answer are written.
enum class ParallelForm {
  kRepeated,  // each call has its own delimiters; `separator` stands between them
};

// Who makes a call's id.
enum class IdRule {
  kServer,  // the format has none: the server does
};

struct ToolFormat {
  std::string name;
  std::string open;       // "<tool_call>": begins a call anywhere in the answer
  std::string close;      // "</tool_call>"
  std::string lead;       // what the family writes between `open` and the call
  std::string trail;      // and between the call and `close`
  std::string separator;  // between calls
  ArgumentStyle style = ArgumentStyle::kJsonCall;
  ParallelForm parallel = ParallelForm::kRepeated;
  IdRule ids = IdRule::kServer;
  std::string name_key;                     // kJsonCall: the key of the name
  std::vector<std::string> arguments_keys;  // kJsonCall: keys that hold the arguments; the first is written
  bool bare_call_opens_line = false;        // an undelimited or fenced call that opens a line is a call too
  std::string result_open;                  // around a tool's result, where the template has no tool role
  std::string result_close;
};

// Tags around a thought; both empty where the family has none.
struct ReasoningFormat {
  std::string open;
  std::string close;
  bool known() const { return !close.empty(); }
};

// The rows, most specific first. Hermes is hermes_format().
std::span<const ToolFormat> known_tool_formats();
const ToolFormat& hermes_format();

// One call as the family writes it, delimiters included.
std::string write_call(const ToolFormat& format, std::string_view name, std::string_view arguments_json);

// What a template does with the parts of a conversation, found by rendering small conversations with it.
struct TemplateTraits {
  ToolFormat format;  // how its calls look; Hermes where it shows none that is known
  ReasoningFormat reasoning;
  bool renders_tools = false;      // declared tools reach the prompt, and calls and results have a known form
  bool renders_system = true;      // a leading system turn is accepted
  bool renders_mid_system = true;  // so is one after the first user turn, and it stays in place
};

// `render` turns the template's context (messages, tools, add_generation_prompt) into text, or fails.
using RenderFn = std::function<Result<std::string>(const boost::json::object& context)>;
TemplateTraits probe_template(const RenderFn& render, std::string_view template_source);

}  // namespace kvasir::chat
