#include "chat/schema_grammar.h"

#include <algorithm>

#include "chat/bounded_recursion.h"
#include "chat/call_writer.h"
#include "chat/json_text.h"
#include "chat/listed_properties.h"
#include "chat/literal_reader.h"
#include "chat/schema_alternatives.h"
#include "chat/schema_patterns.h"
#include "chat/text_formats.h"

namespace kvasir::chat {
namespace {

namespace json = boost::json;

const json::object& object_of(const json::value& schema) {
  static const json::object kEmpty;
  return schema.is_object() ? schema.get_object() : kEmpty;
}

std::optional<std::size_t> size_of(const json::object& schema, std::string_view key) {
  const json::value* value = schema.if_contains(key);
  if (value == nullptr || !value->is_number()) return std::nullopt;
  const double number = value->to_number<double>();
  return number >= 0 ? std::optional(static_cast<std::size_t>(number)) : std::nullopt;
}

const json::value* list_of(const json::object& schema, std::string_view key) {
  const json::value* value = schema.if_contains(key);
  return value != nullptr && value->is_array() ? value : nullptr;
}

std::vector<std::string_view> strings_of(const json::object& schema, std::string_view key) {
  std::vector<std::string_view> strings;
  if (const json::value* list = list_of(schema, key); list != nullptr) {
    for (const json::value& one : list->get_array()) {
      if (one.is_string()) strings.emplace_back(one.get_string());
    }
  }
  return strings;
}

// Between the slashes of a terminal.
std::string slashes_escaped(std::string_view expression) {
  std::string escaped;
  for (std::size_t i = 0; i < expression.size(); ++i) {
    if (expression[i] == '\\' && i + 1 < expression.size()) {
      escaped += expression[i++];
    } else if (expression[i] == '/') {
      escaped += '\\';
    }
    escaped += expression[i];
  }
  return escaped;
}

// A pattern without an alternative at its top need match only somewhere in the text, and its anchors hold.
std::string searched_alternative(std::string text) {
  const bool from_start = text.starts_with('^');
  const bool to_end = text.ends_with('$') && !text.ends_with("\\$");
  if (from_start) text.erase(0, 1);
  if (to_end) text.pop_back();
  return (from_start ? "" : ".*") + ("(" + text + ")") + (to_end ? "" : ".*");
}

// Each alternative has its own anchors: `^a|b$` begins with a or ends with b.
std::string searched(std::string_view pattern) {
  std::string all;
  for (std::string& one : pattern_alternatives(with_ascii_classes(pattern))) {
    all += (all.empty() ? "" : "|") + searched_alternative(std::move(one));
  }
  return all;
}

// Whether a bare text would be read as a value of these kinds (TaggedValue); and all such texts.
bool reads_as(std::string_view text, const ValueKinds& kinds) {
  const std::string_view value = trim(text);
  if (value.starts_with('[') || value.starts_with('{')) return kinds.array || kinds.object;
  return kinds.admits(literal_word(value));
}
std::string expression_of(const ValueKinds& kinds) {
  std::string all;
  const auto add = [&all](bool is, std::string_view expression) {
    if (is) all += (all.empty() ? "" : "|") + std::string(expression);
  };
  add(kinds.integer || kinds.fraction, "[+-]?[0-9._]+([eE][+-]?[0-9]+)?");
  add(kinds.boolean, "true|false|True|False");
  add(kinds.null, "null|None");
  add(kinds.array || kinds.object, "(\\[|\\{)(?s:.*)");
  return all.empty() ? all : "\\s*(" + all + ")\\s*";
}

std::string bounds(std::size_t low, std::optional<std::size_t> high) {
  return "{" + std::to_string(low) + "," + (high ? std::to_string(*high) : "") + "}";
}

}  // namespace

std::string json_rule(json::object schema, SchemaReading reading) {
  schema["x-guidance"] = json::object{{"whitespace_flexible", false},
                                      {"item_separator", ", ?"},
                                      {"key_separator", ": ?"},
                                      {"lenient", reading != SchemaReading::kStrict}};
  return "%json " + json::serialize(with_engine_patterns(schema));
}

std::string arguments_rule(const json::value& parameters, SchemaReading reading) {
  json::object ruled;
  if (reading != SchemaReading::kObject && parameters.is_object())
    ruled = with_bounded_recursion(with_listed_properties(parameters)).get_object();
  if (ruled.if_contains("type") == nullptr) ruled["type"] = "object";
  return json_rule(std::move(ruled), reading);
}

std::string SchemaGrammar::constrained_text(const json::object& schema, const std::string& character) const {
  const auto low = size_of(schema, "minLength");
  auto high = size_of(schema, "maxLength");
  for (const std::string_view format : strings_of(schema, "format")) {
    if (const auto most = format_length_max(format)) high = std::min(high.value_or(*most), *most);
  }
  std::string expression = "/" + character + bounds(low.value_or(0), high) + "/";
  if (reading_ != SchemaReading::kStrict) return expression;
  for (const std::string_view key : {"pattern", "format"}) {
    for (const std::string_view words : strings_of(schema, key)) {
      const auto whole = key == "format" ? format_expression(words) : std::optional(searched(words));
      if (whole) expression += " & /(?s:" + slashes_escaped(*whole) + ")/";
    }
  }
  return expression;
}

std::string SchemaGrammar::bare_text(const json::object& text, std::string_view end,
                                     const ValueKinds& others) {
  std::string words;
  if (const json::value* values = list_of(text, "enum"); values != nullptr) {
    for (const json::value& value : values->get_array()) {
      if (!value.is_string() || reads_as(value.get_string(), others)) continue;
      words += (words.empty() ? "( " : " | ") + lark_.literal(std::string_view(value.get_string()));
    }
    return words.empty() ? words : words + " ) " + lark_.literal(end);
  }
  const bool constrained = text.contains("pattern") || text.contains("format") || text.contains("maxLength");
  if (!constrained) return lark_.text_until(trim(end), size_of(text, "minLength").value_or(0));
  const std::string terminal = lark_.reserve("TEXT");
  // Nothing that could begin the end, so that the text ends where it must.
  std::string expression = constrained_text(text, "[^" + regex_escaped(trim(end).substr(0, 1)) + "\\n]");
  if (const std::string other = expression_of(others); !other.empty()) expression += " & ~/" + other + "/";
  lark_.define(terminal, expression);
  return terminal + " " + lark_.literal(end);
}

std::string SchemaGrammar::bare_value(const std::vector<json::object>& alternatives, bool python_words) {
  json::array any;
  bool boolean = false;
  for (const json::object& one : alternatives) {
    any.push_back(one);
    const json::value* type = one.if_contains("type");
    boolean = boolean || (type != nullptr && *type == "boolean");
  }
  json::object schema = any.size() == 1 ? any.front().get_object() : json::object{{"anyOf", std::move(any)}};
  for (const char* key : {"$defs", "definitions"}) {
    if (const json::value* shared = object_of(root_).if_contains(key)) schema[key] = *shared;
  }
  schema = with_bounded_recursion(with_listed_properties(schema)).get_object();
  const std::string value = lark_.rule("value", json_rule(std::move(schema), reading_));
  return boolean && python_words ? "( " + value + " | \"True\" | \"False\" )" : value;
}

std::string SchemaGrammar::constant(const LiteralStyle& style, const json::value& value) const {
  return lark_.literal(write_literal(style, value));
}

std::string SchemaGrammar::literal_value(const LiteralStyle& style, const json::value& schema) {
  const auto [known, added] = named_.try_emplace(json::serialize(schema));
  if (!added) return known->second;
  const std::string name = known->second = lark_.reserve("value");
  lark_.define(name, literal_alternatives(style, schema));
  return name;
}

std::string SchemaGrammar::literal_alternatives(const LiteralStyle& style, const json::value& schema) {
  std::string body;
  const auto add = [&body](const std::string& alternative) {
    body += (body.empty() ? "" : " | ") + alternative;
  };
  for (const json::object& one : schema_alternatives(root_, schema)) {
    const json::value* type = one.if_contains("type");
    if (const json::value* values = list_of(one, "enum"); values != nullptr) {
      for (const json::value& value : values->get_array()) add(constant(style, value));
    } else if (type != nullptr && type->is_string()) {
      add(literal_type(style, one, type->get_string()));
    } else {
      add(any(style));
    }
  }
  return body.empty() ? any(style) : body;
}

std::string SchemaGrammar::literal_type(const LiteralStyle& style, const json::object& schema,
                                        std::string_view type) {
  if (type == "string") return literal_text(style, schema);
  if (type == "boolean") return style.python_words ? "( \"True\" | \"False\" )" : "( \"true\" | \"false\" )";
  if (type == "null") return style.python_words ? "\"None\"" : "\"null\"";
  if (type == "array") return literal_array(style, schema);
  if (type == "object") {
    const std::string fields =
        literal_fields(style, schema, style.quote.empty() ? ": " : ":", style.bare_keys);
    return "\"{\" " + fields + " \"}\"";
  }
  json::object number{{"type", type}};
  for (const char* key : {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}) {
    if (const json::value* limit = schema.if_contains(key)) number[key] = *limit;
  }
  return lark_.rule("number", json_rule(std::move(number), reading_));
}

std::string SchemaGrammar::literal_text(const LiteralStyle& style, const json::object& schema) {
  if (!style.quote.empty()) return lark_.literal(style.quote) + " " + bare_text(schema, style.quote);
  if (schema.contains("pattern") || schema.contains("format")) {
    const std::string terminal = lark_.reserve("TEXT");
    lark_.define(terminal, constrained_text(schema, R"([^'\\\x00-\x1f])"));
    return "\"'\" " + terminal + " \"'\"";
  }
  const std::string size = bounds(size_of(schema, "minLength").value_or(0), size_of(schema, "maxLength"));
  const std::string terminal = lark_.reserve("TEXT");
  lark_.define(terminal, R"(/'([^'\\\x00-\x1f]|\\['"\\nrt]))" + size +
                             R"('/ | /"([^"\\\x00-\x1f]|\\['"\\nrt]))" + size + "\"/");
  return terminal;
}

std::string SchemaGrammar::literal_array(const LiteralStyle& style, const json::object& schema) {
  if (list_of(schema, "prefixItems") != nullptr) return literal_tuple(style, schema);
  const json::value* items = schema.if_contains("items");
  const std::string item = items != nullptr && items->is_object() ? literal_value(style, *items) : any(style);
  const std::size_t low = size_of(schema, "minItems").value_or(0);
  const auto high = size_of(schema, "maxItems");
  if (high && *high == 0) return "\"[]\"";
  const std::string more = "( " + lark_quoted(style.separator) + " " + item + " )";
  std::string list = item;
  if (!high || *high > 1)
    list += " " + more + bounds(low > 0 ? low - 1 : 0, high ? std::optional(*high - 1) : std::nullopt);
  return low == 0 ? "\"[\" ( " + list + " )? \"]\"" : "\"[\" " + list + " \"]\"";
}

// Items that each have a schema, as many as must be; more than those are not written.
std::string SchemaGrammar::literal_tuple(const LiteralStyle& style, const json::object& schema) {
  const json::array& items = list_of(schema, "prefixItems")->get_array();
  const std::size_t low = size_of(schema, "minItems").value_or(0);
  const std::size_t count = std::min(items.size(), size_of(schema, "maxItems").value_or(items.size()));
  std::string list;
  for (std::size_t i = count; i-- > 0;) {
    std::string from = i == 0 ? "" : lark_quoted(style.separator) + " ";
    from += literal_value(style, items[i]) + " " + list;
    list = i < low ? from : "( " + from + " )?";
  }
  return "\"[\" " + list + " \"]\"";
}

std::string SchemaGrammar::literal_fields(const LiteralStyle& style, const json::value& schema,
                                          std::string_view assign, bool bare_keys) {
  const json::object here = first_alternative(root_, schema);
  const json::value* properties = here.if_contains("properties");
  const auto key_text = [&](std::string_view name) {
    if (bare_keys) return std::string(name);
    return style.quote.empty() ? quoted(name) : style.quote + std::string(name) + style.quote;
  };
  std::vector<LarkWriter::Field> fields;
  if (properties != nullptr && properties->is_object() && reading_ != SchemaReading::kObject) {
    for (const auto& field : properties->get_object()) {
      const std::string key = lark_.literal(key_text(field.key()) + std::string(assign));
      fields.push_back({lark_.rule("field", key + " " + literal_value(style, field.value())),
                        requires_property(here, field.key())});
    }
  }
  const std::string separator = lark_quoted(style.separator);
  if (!fields.empty()) return lark_.any_order(fields, separator);
  const json::value* more = here.if_contains("additionalProperties");
  const bool listed = properties != nullptr && more == nullptr && reading_ != SchemaReading::kObject;
  if (listed || (more != nullptr && more->is_bool() && !more->get_bool())) return "\"\"";
  const std::string value = more != nullptr && more->is_object() ? literal_value(style, *more) : any(style);
  const std::string mark = bare_keys             ? ""
                           : style.quote.empty() ? "\"\\\"\" "
                                                 : lark_.literal(style.quote) + " ";
  const std::string field =
      lark_.rule("field", mark + "/[A-Za-z_][A-Za-z0-9_]*/ " + mark + lark_quoted(assign) + " " + value);
  return lark_.rule("fields", "( " + field + " ( " + separator + " " + field + " )* )?");
}

// Any value; what keys bare objects may have is the family's, so only words.
std::string SchemaGrammar::any(const LiteralStyle& style) {
  if (!any_.empty()) return any_;
  any_ = lark_.reserve("any");
  std::string body;
  for (const char* type : {"string", "number", "boolean", "null"}) {
    body += literal_type(style, {}, type) + " | ";
  }
  body += literal_array(style, {}) + " | " + literal_type(style, {}, "object");
  lark_.define(any_, body);
  return any_;
}

}  // namespace kvasir::chat
