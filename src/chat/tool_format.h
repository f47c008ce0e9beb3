#pragma once
// How a model family writes tool calls and thoughts, as data: one row a family. The grammar (tool_grammar),
// the parser (output_parser) and the written form (call_writer) all come from the row, so they cannot
// disagree. A family whose style is known is added by adding a row in tool_formats.cpp. Why:
// docs/decisions/0004-tool-formats-as-data.md.
//
//   section.open list.open  call.open BODY call.close  separator  ...  list.close section.close
//
// Any of these texts may be empty. The white space in them is what the family's template writes; readers take
// any white space, or none, in those places. BODY is one of the styles below.

#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace kvasir::chat {

struct Wrap {
  std::string open;
  std::string close;
};

// {"name": N, "arguments": {...}}
struct JsonCallStyle {
  std::string name_key = "name";  // empty: the name itself is the arguments' key, {N: {...}}
  std::vector<std::string> arguments_keys = {"arguments",
                                             "parameters"};  // all are read, the first is written
  std::string index_key = {};  // written first: holds the call's place in the turn, in quotes
  std::string id_key = {};     // written last: holds the call's id
};

// N name_end {...}
struct NamedJsonStyle {
  std::string name_end;
  std::vector<std::string> other_name_ends = {};  // read too, never written
  std::string index_mark = {};  // between the name and the call's place in the turn: "functions.f:0"
  std::string id_mark = {};     // between the name and the call's id
  std::string text_name = {};   // a name that opens text: ">>>all"
};

// N name_end (parameter_open P name_end value.open V value.close parameter_close separator)*
// Strings stand as they are, other values as JSON; which it is, the tool's schema says.
struct TaggedStyle {
  std::string name_end;  // white space or nothing: a name ends where white space or a tag begins
  std::string parameter_open;
  std::string parameter_name_end;
  std::string other_name_end = {};  // before values that are no strings, where the tag itself tells
  std::string value_open = {};      // a tag of its own before the value
  Wrap value_space = {};            // white space around the value that is no part of it
  std::string parameter_close;
  std::string parameter_separator = {};
  bool python_words = false;  // the template writes True, False and None
};

// N arguments.open P assign V separator ... arguments.close, values in a literal syntax of the family's own
struct LiteralStyle {
  Wrap arguments;
  std::string assign;
  std::string separator;
  std::string quote = {};     // around strings, which have no escapes; empty: Python's quotes and escapes
  bool python_words = false;  // True, False and None
  bool bare_keys = false;     // keys of objects stand without quotes
};

// How several calls of one turn are written.
enum class ParallelForm {
  kRepeated,   // each in a section of its own; `separator` stands between the sections
  kInSection,  // all in one section; `separator` stands between the calls
  kSingle,     // the family writes one call a turn
};

// How a call's id must look.
enum class IdRule {
  kServer,  // as the server likes
  kNine,    // nine letters and digits (Mistral's templates refuse others)
};

struct ToolFormat {
  std::string name;
  Wrap section = {};
  Wrap list = {};
  Wrap call = {};
  std::vector<std::string> other_call_opens = {};  // read too, never written
  std::string separator = {};
  ParallelForm parallel = ParallelForm::kRepeated;
  IdRule ids = IdRule::kServer;
  std::variant<JsonCallStyle, NamedJsonStyle, TaggedStyle, LiteralStyle> style = {};
  bool bare_call_opens_line = false;  // JsonCallStyle: an undelimited or fenced call that opens a line counts
  // Marks that may stand in an answer and are no part of its text.
  std::vector<std::string> silent = {};
  // What the family writes before an answer that is no call, beside white space.
  std::string answer_open = {};
  // What the family writes between a thought and what follows it in the same turn.
  std::string turn_open = {};
  // Words in a rendered prompt that tell the family where its template writes no call. Empty: nothing does.
  std::string hint = {};
  // Around a tool's result, where the template has no place for one.
  Wrap result = {"<tool_response>\n", "\n</tool_response>"};

  template <class Style>
  const Style* as() const {
    return std::get_if<Style>(&style);
  }
};

// Tags around a thought; both empty where the family has none.
struct ReasoningFormat {
  std::string open;
  std::string close;
  bool anywhere = false;  // not only at the beginning of an answer
  // White space that the family writes inside the tags, and between a thought and the answer.
  Wrap space = {"\n", "\n"};
  std::string answer_space = "\n\n";
  bool known() const { return !close.empty(); }
};

// The rows; where two would fit a template, the first is taken.
std::span<const ToolFormat> known_tool_formats();
const ToolFormat& hermes_format();
// Null for a name that no row has.
const ToolFormat* find_tool_format(std::string_view name);
// The tags of the template: the first pair of which it writes the closing one.
ReasoningFormat find_reasoning_format(std::string_view template_source);

// The texts that may begin a call in an answer: of the section, then of a call. Without white space around.
std::vector<std::string> call_openers(const ToolFormat& format);

}  // namespace kvasir::chat
