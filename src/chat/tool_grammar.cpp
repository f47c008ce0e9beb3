#include "chat/tool_grammar.h"

#include <utility>

#include "chat/json_text.h"
#include "chat/schema_alternatives.h"
#include "chat/schema_patterns.h"

namespace kvasir::chat {
namespace {

namespace json = boost::json;

constexpr std::string_view kNineId = " /[a-zA-Z0-9]{9}/ ";
constexpr std::string_view kPlace = " /0|[1-9][0-9]{0,2}/ ";

// The rules of one grammar: `tool`, any of the tools' bodies, and what stands around it.
class CallsGrammar {
 public:
  explicit CallsGrammar(const CallGrammarContext& context)
      : context_(context), format_(*context.format), lark_(context.markers) {}

  LarkWriter& lark() { return lark_; }

  // All that a turn may hold of calls; `opened` is left out of the first.
  std::string calls(std::string_view opened) {
    std::string first = section(opened);
    const bool repeats = format_.parallel == ParallelForm::kRepeated && context_.parallel;
    if (!repeats) return first;
    const std::string more = opened.empty() ? first : section({});
    const std::string gap = lark_.literal(format_.separator);
    // A token may hold the end of a call and white space; what has written it need not make another call.
    const bool space = !format_.separator.empty() && trim(format_.separator).empty();
    return first + " ( " + gap + " " + more + " )*" + (space ? " ( " + gap + " )?" : "");
  }

  // From behind an opener: of a section to its end, or of a call to its own.
  std::string rest(std::string_view opener) {
    any_name_end_ = true;
    const bool of_section = opener == trim(format_.section.open);
    const std::string& written = of_section ? format_.section.open : format_.call.open;
    const std::string_view mark = trim(written);
    const std::string_view missing = mark.starts_with(opener) ? mark.substr(opener.size()) : "";
    std::string begin = missing.empty() ? lead(written) : lark_.literal(missing);
    std::string rest = of_section ? begin + " " + in_section() + " " + lark_.literal(format_.section.close)
                                  : begin + " " + tool() + " " + lark_.literal(format_.call.close);
    const auto* named = format_.as<NamedJsonStyle>();
    if (named != nullptr && !named->text_name.empty()) {
      rest = "( " + rest + " | " + lark_.literal(named->text_name + "\n") + " )";
    }
    return rest;
  }

  // What answers that are no calls begin with.
  std::string answer_open(std::string_view opened) const {
    std::string_view open = format_.answer_open;
    if (open.starts_with(opened)) open.remove_prefix(opened.size());
    return open.empty() ? std::string() : lark_.literal(open) + " ";
  }

 private:
  // White space that the family writes behind an opener; a model may leave it out.
  static std::string lead(std::string_view written) {
    return trim(written).size() < written.size() && written.back() == '\n' ? "/[ \\n]?/" : "\"\"";
  }

  static std::string_view without(std::string_view text, std::string_view opened) {
    const std::string_view mark = trim(text);
    if (opened.empty() || !mark.starts_with(opened)) return text;
    return text.substr(text.find(opened) + opened.size());
  }

  std::string section(std::string_view opened) {
    const bool of_call = format_.section.open.empty();
    std::string out = lark_.literal(without(format_.section.open, of_call ? "" : opened)) + " ";
    out += in_section(of_call ? opened : "") + " " + lark_.literal(format_.section.close);
    return lark_.rule("section", out);
  }

  std::string in_section(std::string_view opened = {}) {
    std::string list = call(opened);
    if (format_.parallel == ParallelForm::kInSection && context_.parallel) {
      list += " ( " + call({}, format_.separator) + " )*";
    }
    return lark_.literal(format_.list.open) + " " + list + " " + lark_.literal(format_.list.close);
  }

  // `before` stands in one piece with the opening: on its own it would be the beginning of the section's
  // close as well, and the grammar's lexer then waits for that alone.
  std::string call(std::string_view opened, std::string_view before = {}) {
    const std::string open = std::string(before) + std::string(without(format_.call.open, opened));
    return lark_.literal(open) + " " + tool() + " " + lark_.literal(format_.call.close);
  }

  std::string tool() {
    if (!tool_.empty()) return tool_;
    std::string any;
    for (const CallableTool& callable : context_.tools) {
      const std::string body =
          std::visit([&](const auto& style) { return this->body(style, callable); }, format_.style);
      any += (any.empty() ? "" : " | ") + lark_.rule("tool", body);
    }
    tool_ = lark_.rule("call", any);
    return tool_;
  }

  std::string arguments(const CallableTool& callable) {
    return lark_.rule("arguments", arguments_rule(callable.tool->parameters, callable.reading));
  }

  std::string body(const JsonCallStyle& style, const CallableTool& callable) {
    const std::string name = quoted(callable.tool->name);
    if (style.name_key.empty()) return lark_quoted("{" + name + ": ") + " " + arguments(callable) + " \"}\"";
    std::string head =
        quoted(style.name_key) + ": " + name + ", " + quoted(style.arguments_keys.front()) + ": ";
    if (style.index_key.empty()) {
      head = lark_quoted("{" + head);
    } else {
      head = lark_quoted("{" + quoted(style.index_key) + ": \"") + std::string(kPlace) +
             lark_quoted("\", " + head);
    }
    std::string out = head + " " + arguments(callable);
    if (style.id_key.empty()) return out + " \"}\"";
    return out + " " + lark_quoted(", " + quoted(style.id_key) + ": \"") + std::string(kNineId) +
           lark_quoted("\"}");
  }

  std::string body(const NamedJsonStyle& style, const CallableTool& callable) {
    std::string out = lark_quoted(callable.tool->name);
    if (!style.index_mark.empty()) out += " " + lark_quoted(style.index_mark) + std::string(kPlace);
    if (!style.id_mark.empty()) out += " " + lark_.literal(style.id_mark) + std::string(kNineId);
    std::string end = lark_.literal(style.name_end);
    if (any_name_end_ && !style.other_name_ends.empty()) {
      for (const std::string& other : style.other_name_ends) end += " | " + lark_.literal(other);
      end = "\" \"? ( " + end + " )";
    }
    return out + " " + end + " " + arguments(callable);
  }

  std::string body(const TaggedStyle& style, const CallableTool& callable) {
    std::string head = lark_.literal(callable.tool->name + style.name_end);
    SchemaGrammar values(lark_, callable.tool->parameters, callable.reading);
    std::vector<LarkWriter::Field> fields;
    const json::object schema = first_alternative(callable.tool->parameters, callable.tool->parameters);
    const json::value* properties = schema.if_contains("properties");
    if (properties != nullptr && properties->is_object() && callable.reading != SchemaReading::kObject) {
      for (const auto& field : properties->get_object()) {
        fields.push_back({parameter(style, values, callable, field.key(), field.value()),
                          requires_property(schema, field.key())});
      }
      return head + " " + lark_.any_order(fields, "");
    }
    const json::value* more = schema.if_contains("additionalProperties");
    if (more != nullptr && more->is_bool() && !more->get_bool()) return head;
    const std::string end = style.value_space.close + style.parameter_close;
    const std::string free =
        lark_.literal(style.parameter_open) + " /[A-Za-z_][A-Za-z0-9_]*/ " +
        lark_.literal(style.parameter_name_end + style.value_open + style.value_space.open) + " " +
        values.bare_text(json::object(), end) + " " + lark_.literal(style.parameter_separator);
    return head + " ( " + free + " )*";
  }

  std::string parameter(const TaggedStyle& style, SchemaGrammar& values, const CallableTool& callable,
                        std::string_view name, const json::value& schema) {
    std::vector<json::object> texts;
    std::vector<json::object> others;
    const bool told = !style.other_name_end.empty();
    for (json::object& one : schema_alternatives(callable.tool->parameters, schema)) {
      const bool any = !one.contains("type") && !one.contains("enum");
      if (any && told) others.push_back(one);
      (is_text(one) || any ? texts : others).push_back(std::move(one));
    }
    const std::string head = style.parameter_open + std::string(name);
    const std::string lead = style.value_open + style.value_space.open;
    const std::string end = style.value_space.close + style.parameter_close;
    std::string body;
    const auto add = [&](std::string_view name_end, const std::string& value) {
      body += (body.empty() ? "" : " | ") + lark_.literal(head + std::string(name_end) + lead) + " " + value;
    };
    // Where the tag tells nothing, a text must not look like another value that the schema admits.
    ValueKinds ambiguous = value_kinds(callable.tool->parameters, schema);
    if (told || others.empty()) ambiguous = {};
    for (const json::object& text : texts) {
      const std::string value = values.bare_text(text, end, ambiguous);
      if (!value.empty()) add(style.parameter_name_end, value);
    }
    if (!others.empty()) {
      add(told ? style.other_name_end : style.parameter_name_end,
          values.bare_value(others, style.python_words) + " " + lark_.literal(end));
    }
    // Where nothing fits, anything goes: the schema is at fault.
    if (body.empty()) add(style.parameter_name_end, values.bare_text({}, end));
    return lark_.rule("parameter", "( " + body + " ) " + lark_.literal(style.parameter_separator));
  }

  std::string body(const LiteralStyle& style, const CallableTool& callable) {
    SchemaGrammar values(lark_, callable.tool->parameters, callable.reading);
    const std::string fields = values.literal_fields(style, callable.tool->parameters, style.assign, true);
    return lark_quoted(callable.tool->name + style.arguments.open) + " " + fields + " " +
           lark_quoted(style.arguments.close);
  }

  const CallGrammarContext& context_;
  const ToolFormat& format_;
  LarkWriter lark_;
  std::string tool_;
  bool any_name_end_ = false;
};

// The end of the start rule, and what it refers to.
std::string tail_rules(bool more_follows) {
  return more_follows ? " tail\ntail: /(.|\\n)*/\n" : "\n";
}

// Compact, spaced or indented, but never an endless run of white space, which is where a weak model that is
// held to JSON ends up otherwise.
std::string answer_rule(const ResponseFormat& format) {
  if (format.kind == ResponseFormat::Kind::kGrammar) return "answer: %lark {\n" + format.grammar + "\n}\n";
  json::object schema{{"type", "object"}};
  if (format.kind == ResponseFormat::Kind::kJsonSchema && format.schema.is_object())
    schema = format.schema.get_object();
  schema["x-guidance"] = json::object{{"whitespace_pattern", " |\\n {0,32}"}, {"lenient", !format.strict}};
  return "answer: %json " + json::serialize(with_engine_patterns(schema)) + "\n";
}

}  // namespace

std::string calls_grammar(const CallGrammarContext& context) {
  CallsGrammar grammar(context);
  const std::string calls = grammar.calls(context.opened);
  return "start: " + calls + "\n" + grammar.lark().rules();
}

std::string calls_or_answer_grammar(const CallGrammarContext& context, const ResponseFormat& answer) {
  CallsGrammar grammar(context);
  const std::string calls = grammar.calls(context.opened);
  const std::string open = grammar.answer_open(context.opened);
  return "start: calls | " + open + "answer\ncalls: " + calls + "\n" + grammar.lark().rules() +
         answer_rule(answer);
}

std::string call_rest_grammar(const CallGrammarContext& context, std::string_view opener) {
  CallsGrammar grammar(context);
  const std::string rest = grammar.rest(opener);
  return "start: " + rest + tail_rules(context.parallel) + grammar.lark().rules();
}

std::string bare_call_rest_grammar(const CallableTool& tool, bool more_follows) {
  return "start: space arguments /\\s*\\}/" + tail_rules(more_follows) +
         "space: / ?/\narguments: " + arguments_rule(tool.tool->parameters, tool.reading) + "\n";
}

std::string after_thought(const ToolFormat& format, std::span<const Marker> markers, std::string grammar) {
  const std::string start = "start: ";
  std::string gap = "/\\n{0,2}/";
  if (!format.turn_open.empty()) gap += " ( " + LarkWriter(markers).literal(format.turn_open) + " )?";
  return "start: gap whole\ngap: " + gap + "\nwhole: " + grammar.substr(start.size());
}

std::string answer_grammar(const ToolFormat& tool_format, std::span<const Marker> markers,
                           std::string_view opened, const ResponseFormat& format) {
  const CallGrammarContext context{&tool_format, markers, {}, true, opened};
  return "start: " + CallsGrammar(context).answer_open(opened) + "answer\n" + answer_rule(format);
}

}  // namespace kvasir::chat
