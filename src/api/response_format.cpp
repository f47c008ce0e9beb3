#include "api/response_format.h"

#include <algorithm>
#include <functional>

#include "api/structural_tag.h"
#include "chat/answer_grammar.h"

namespace kvasir::api {
namespace {

namespace json = boost::json;
using chat::ResponseFormat;
using Kind = ResponseFormat::Kind;

constexpr std::size_t kSchemaMax = 512 * 1024;
constexpr std::size_t kChoicesMax = 10'000;
constexpr std::size_t kNameMax = 64;

ResponseFormat of_grammar(Result<std::string> grammar, const std::string& path) {
  if (!grammar) field_error(path, grammar.error().message);
  return {Kind::kGrammar, nullptr, true, std::move(*grammar), path};
}

ResponseFormat of_schema(const json::value& schema, bool strict, const std::string& path) {
  if (!schema.is_object()) field_error(path, "must be a JSON Schema, which is an object");
  if (json::serialize(schema).size() > kSchemaMax) {
    field_error(path, "the schema is larger than " + std::to_string(kSchemaMax) + " bytes");
  }
  return {Kind::kJsonSchema, schema, strict, {}, path};
}

// vLLM takes the schema as an object or as its text.
ResponseFormat of_schema_or_text(const json::value& value, bool strict, const std::string& path) {
  if (!value.is_string()) return of_schema(value, strict, path);
  const Result<json::value> parsed = parse_body(value.get_string());
  if (!parsed) field_error(path, "must be a JSON Schema, or its text: " + parsed.error().message);
  return of_schema(*parsed, strict, path);
}

ResponseFormat of_choices(const json::value& value, const std::string& path) {
  if (!value.is_array()) field_error(path, "must be a list of strings");
  const json::array& list = value.get_array();
  if (list.size() > kChoicesMax) {
    field_error(path, "must be at most " + std::to_string(kChoicesMax) + " strings");
  }
  std::vector<std::string> choices;
  choices.reserve(list.size());
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (!list[i].is_string()) field_error(element_path(path, i), "must be a string");
    choices.push_back(to_string(list[i]));
  }
  return of_grammar(chat::choice_grammar(choices), path);
}

std::string text_of(const json::value& value, const std::string& path) {
  if (!value.is_string()) field_error(path, "must be a string");
  return to_string(value);
}

ResponseFormat of_regex(const json::value& value, const std::string& path) {
  return of_grammar(chat::regex_grammar(text_of(value, path)), path);
}

ResponseFormat of_any_grammar(const json::value& value, const std::string& path) {
  return of_grammar(chat::any_grammar(text_of(value, path)), path);
}

ResponseFormat of_structural_tag(const json::value& value, const std::string& path) {
  if (!value.is_string()) return of_grammar(structural_tag_grammar(Fields(value, path)), path);
  const Result<json::value> parsed = parse_body(value.get_string());
  if (!parsed) field_error(path, "must be an object, or its text: " + parsed.error().message);
  return of_grammar(structural_tag_grammar(Fields(*parsed, path)), path);
}

ResponseFormat of_json_object(const json::value& value, const std::string& path) {
  if (!value.is_bool()) field_error(path, "must be true or false");
  if (!value.get_bool()) return {};
  return {Kind::kJsonObject, nullptr, true, {}, path};
}

bool is_name(const std::string& name) {
  return !name.empty() && name.size() <= kNameMax && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
}

// OpenAI's wrapper {"name", "description", "schema", "strict"}. The name has no effect; clients that leave it
// out are served.
ResponseFormat of_wrapper(const Fields& wrapper) {
  if (const auto name = wrapper.string("name"); name && !is_name(*name)) {
    field_error(wrapper.path_of("name"), "must be 1 to 64 letters, digits, underscores or dashes");
  }
  (void)wrapper.string("description");
  const json::value* schema = wrapper.find("schema");
  if (schema == nullptr) field_error(wrapper.path_of("schema"), "is required and must be an object");
  return of_schema(*schema, wrapper.boolean("strict").value_or(false), wrapper.path_of("schema"));
}

ResponseFormat of_response_format(const json::value& value, const std::string& path) {
  const Fields format(value, path);
  const std::string type = format.required_string("type");
  if (type == "text") return {};
  if (type == "json_object") {
    const json::value* schema = format.find("schema");
    if (schema != nullptr) return of_schema(*schema, false, format.path_of("schema"));
    return {Kind::kJsonObject, nullptr, true, {}, path};
  }
  if (type == "json_schema") {
    if (const std::optional<Fields> wrapper = format.fields("json_schema")) return of_wrapper(*wrapper);
    if (const json::value* schema = format.find("schema")) {
      return of_schema(*schema, format.boolean("strict").value_or(false), format.path_of("schema"));
    }
    field_error(format.path_of("json_schema"), "is required and must be an object");
  }
  if (type == "structural_tag") return of_structural_tag(value, path);
  for (const char* kind : {"grammar", "regex"}) {
    if (type != kind) continue;
    const json::value* text = format.find(kind);
    if (text == nullptr) text = format.find("value");
    if (text == nullptr && type == "regex") text = format.find("pattern");
    if (text == nullptr) field_error(format.path_of(kind), "is required and must be a string");
    return type == "regex" ? of_regex(*text, format.path_of(kind))
                           : of_any_grammar(*text, format.path_of(kind));
  }
  field_error(format.path_of("type"), "\"" + type +
                                          "\" is not one of text, json_object, json_schema, structural_tag, "
                                          "grammar, regex");
}

struct Source {
  const char* key;
  std::function<ResponseFormat(const json::value&, const std::string&)> parse;
};

// The one of these fields that asks for something, if any does.
ResponseFormat only_one(const Fields& body, const std::vector<Source>& sources) {
  ResponseFormat chosen;
  std::string by;
  for (const Source& source : sources) {
    const json::value* value = body.find(source.key);
    if (value == nullptr) continue;
    const std::string path = body.path_of(source.key);
    ResponseFormat format = source.parse(*value, path);
    if (format.kind == Kind::kText) continue;
    if (!by.empty()) field_error(path, "cannot be combined with " + by + ": an answer has one format");
    chosen = std::move(format);
    by = path;
  }
  return chosen;
}

ResponseFormat of_strict_schema(const json::value& value, const std::string& path) {
  return of_schema_or_text(value, true, path);
}

// llama-server leaves out what it does not know of its own field.
ResponseFormat of_loose_schema(const json::value& value, const std::string& path) {
  return of_schema_or_text(value, false, path);
}

// Clients send an empty text for "none".
ResponseFormat of_optional_grammar(const json::value& value, const std::string& path) {
  if (value.is_string() && value.get_string().empty()) return {};
  return of_any_grammar(value, path);
}

ResponseFormat of_structured_outputs(const json::value& value, const std::string& path) {
  static const std::vector<Source> kKinds{
      {"json", of_strict_schema},      {"regex", of_regex},
      {"choice", of_choices},          {"grammar", of_any_grammar},
      {"json_object", of_json_object}, {"structural_tag", of_structural_tag}};
  const Fields outputs(value, path);
  return only_one(outputs, kKinds);
}

// The Responses API's `text`.
ResponseFormat of_text_config(const json::value& value, const std::string& path) {
  const Fields config(value, path);
  const json::value* format = config.find("format");
  return format == nullptr ? ResponseFormat() : of_response_format(*format, config.path_of("format"));
}

}  // namespace

ResponseFormat parse_answer_format(const Fields& body) {
  static const std::vector<Source> kSources{
      {"response_format", of_response_format},
      {"text", of_text_config},
      {"guided_json", of_strict_schema},
      {"guided_regex", of_regex},
      {"guided_choice", of_choices},
      {"guided_grammar", of_any_grammar},
      {"guided_json_object", of_json_object},
      {"structural_tag", of_structural_tag},
      {"structured_outputs", of_structured_outputs},
      {"grammar", of_optional_grammar},
      {"json_schema", of_loose_schema},
      {"regex", of_regex},
      {"ebnf", of_any_grammar},
  };
  return only_one(body, kSources);
}

ResponseFormat parse_anthropic_format(const Fields& body) {
  const std::optional<Fields> config = body.fields("output_config");
  for (const Fields* holder : {&body, config ? &*config : nullptr}) {
    if (holder == nullptr) continue;
    const std::optional<Fields> format = holder->fields(holder == &body ? "output_format" : "format");
    if (!format) continue;
    const std::string type = format->required_string("type");
    if (type != "json_schema") field_error(format->path_of("type"), "\"" + type + "\" is not json_schema");
    const json::value* schema = format->find("schema");
    if (schema == nullptr) field_error(format->path_of("schema"), "is required and must be an object");
    return of_schema(*schema, false, format->path_of("schema"));
  }
  return {};
}

}  // namespace kvasir::api
