#include "chat/tool_grammar.h"

namespace kvasir::chat {
namespace {

namespace json = boost::json;

// A string as a Lark literal, which is written as JSON writes it.
std::string literal(std::string_view text) {
  return json::serialize(json::string_view(text.data(), text.size()));
}

// The schema with the spacing that chat templates write back, one optional space after ',' and ':': a weak
// model cannot wander off into white space, and what comes back in the next prompt is mostly what was
// sampled.
std::string schema_rule(const json::value& schema, SchemaReading reading) {
  json::object ruled;
  if (reading != SchemaReading::kObject && schema.is_object()) ruled = schema.get_object();
  // Arguments are an object whatever the schema leaves open.
  if (ruled.if_contains("type") == nullptr) ruled["type"] = "object";
  ruled["x-guidance"] = json::object{{"whitespace_flexible", false},
                                     {"item_separator", ", ?"},
                                     {"key_separator", ": ?"},
                                     {"lenient", reading != SchemaReading::kStrict}};
  return "%json " + json::serialize(ruled);
}

// Rules tool_0, tool_1, ...: the JSON object of one call each; and `tool`, any of them.
std::string tool_rules(const ToolFormat& format, std::span<const Tool> tools, SchemaReading reading) {
  std::string any = "tool: ";
  std::string rules;
  for (std::size_t i = 0; i < tools.size(); ++i) {
    const std::string number = std::to_string(i);
    any += (i == 0 ? "tool_" : " | tool_") + number;
    const std::string head = "{\"" + format.name_key + "\": " + literal(tools[i].name) + ", \"" +
                             format.arguments_keys.front() + "\": ";
    rules.append("tool_").append(number).append(": ").append(literal(head));
    rules.append(" arguments_").append(number).append(" \"}\"\n");
    rules.append("arguments_").append(number).append(": ");
    rules.append(schema_rule(tools[i].parameters, reading)).append("\n");
  }
  return any + "\n" + rules;
}

// The end of the start rule, and what it refers to.
std::string tail_rules(bool more_follows) {
  return more_follows ? " tail\ntail: /(.|\\n)*/\n" : "\n";
}

std::string calls_rules(const ToolFormat& format, std::span<const Tool> tools, bool parallel,
                        SchemaReading reading) {
  std::string text = parallel ? "calls: call (" + literal(format.separator) + " call)*\n" : "calls: call\n";
  text +=
      "call: " + literal(format.open + format.lead) + " tool " + literal(format.trail + format.close) + "\n";
  return text + tool_rules(format, tools, reading);
}

// Compact, spaced or indented, but never an endless run of white space, which is where a weak model that is
// held to JSON ends up otherwise.
std::string answer_rule(const ResponseFormat& format) {
  json::object schema{{"type", "object"}};
  if (format.kind == ResponseFormat::Kind::kJsonSchema && format.schema.is_object())
    schema = format.schema.get_object();
  schema["x-guidance"] = json::object{{"whitespace_pattern", " |\\n {0,32}"}};
  return "answer: %json " + json::serialize(schema) + "\n";
}

}  // namespace

std::string calls_grammar(const ToolFormat& format, std::span<const Tool> tools, bool parallel,
                          SchemaReading reading) {
  return "start: calls\n" + calls_rules(format, tools, parallel, reading);
}

std::string calls_or_answer_grammar(const ToolFormat& format, std::span<const Tool> tools, bool parallel,
                                    const ResponseFormat& answer, SchemaReading reading) {
  return "start: calls | answer\n" + calls_rules(format, tools, parallel, reading) + answer_rule(answer);
}

std::string call_rest_grammar(const ToolFormat& format, std::span<const Tool> tools, bool more_follows,
                              SchemaReading reading) {
  return "start: lead tool " + literal(format.trail + format.close) + tail_rules(more_follows) +
         "lead: /[ \\n]?/\n" + tool_rules(format, tools, reading);
}

std::string bare_call_rest_grammar(const Tool& tool, bool more_follows, SchemaReading reading) {
  return "start: space arguments /\\s*\\}/" + tail_rules(more_follows) +
         "space: / ?/\narguments: " + schema_rule(tool.parameters, reading) + "\n";
}

std::string after_thought(std::string grammar) {
  const std::string start = "start: ";
  return "start: gap whole\ngap: /\\n{0,2}/\nwhole: " + grammar.substr(start.size());
}

std::string answer_grammar(const ResponseFormat& format) {
  return "start: answer\n" + answer_rule(format);
}

}  // namespace kvasir::chat
