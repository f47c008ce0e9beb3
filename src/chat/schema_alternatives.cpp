#include "chat/schema_alternatives.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include "chat/schema_view.h"

namespace kvasir::chat {
namespace {

namespace json = boost::json;
using Alternatives = std::vector<json::object>;

constexpr int kDepthMax = 16;
constexpr std::size_t kAlternativesMax = 256;

std::string_view type_of(const json::value& value) {
  if (value.is_string()) return "string";
  if (value.is_bool()) return "boolean";
  if (value.is_null()) return "null";
  if (value.is_array()) return "array";
  return value.is_object() ? "object" : "number";
}

bool fits_type(const json::value& value, std::string_view type) {
  const std::string_view own = type_of(value);
  if (type != "integer") return type == own;
  return own == "number" && std::trunc(value.to_number<double>()) == value.to_number<double>();
}

json::array list_of(const json::value* value) {
  if (value == nullptr) return {};
  return value->is_array() ? value->get_array() : json::array{*value};
}

bool contains(const json::array& list, const json::value& value) {
  return std::ranges::find(list, value) != list.end();
}

json::array common_types(const json::array& a, const json::array& b) {
  json::array both;
  for (const json::value& type : a) {
    if (contains(b, type) || (type == "integer" && contains(b, "number"))) both.push_back(type);
    if (type == "number" && contains(b, "integer")) both.emplace_back("integer");
  }
  return both;
}

// What both ask for; false where they exclude each other.
bool merge_key(json::object& into, std::string_view key, const json::value& value) {
  json::value* own = into.if_contains(key);
  if (own == nullptr) {
    into[key] = value;
    return true;
  }
  const auto number = [](const json::value& v) { return v.is_number() ? v.to_number<double>() : 0; };
  if (key == "type") {
    *own = common_types(own->get_array(), value.get_array());
    return !own->get_array().empty();
  }
  if (key == "enum") {
    json::array kept;
    for (const json::value& v : own->get_array()) {
      if (contains(value.get_array(), v)) kept.push_back(v);
    }
    *own = std::move(kept);
    return !own->get_array().empty();
  }
  if (key == "required" || key == "pattern" || key == "format") {
    for (const json::value& v : value.get_array()) {
      if (!contains(own->get_array(), v)) own->get_array().push_back(v);
    }
  } else if (key.starts_with("min") || key == "exclusiveMinimum") {
    if (number(value) > number(*own)) *own = value;
  } else if (key.starts_with("max") || key == "exclusiveMaximum") {
    if (number(value) < number(*own)) *own = value;
  } else if (*own != value) {
    *own = json::object{{"allOf", json::array{*own, value}}};
  }
  return true;
}

// A property that the other side does not know is under its additionalProperties.
void close_properties(json::object& properties, const json::object& other) {
  const json::value* more = other.if_contains("additionalProperties");
  if (more == nullptr) return;
  const json::value* known = other.if_contains("properties");
  json::object kept;
  for (const auto& field : properties) {
    const bool knows = known != nullptr && known->is_object() && known->get_object().contains(field.key());
    if (knows || !more->is_bool()) {
      kept[field.key()] = knows ? field.value() : json::object{{"allOf", json::array{field.value(), *more}}};
    } else if (more->get_bool()) {
      kept[field.key()] = field.value();
    }
  }
  properties = std::move(kept);
}

std::optional<json::object> both(json::object a, json::object b) {
  const auto properties = [](json::object& o) {
    json::value* found = o.if_contains("properties");
    return found != nullptr && found->is_object() ? found->get_object() : json::object();
  };
  json::object of_a = properties(a);
  json::object of_b = properties(b);
  close_properties(of_a, b);
  close_properties(of_b, a);
  for (const auto& field : of_b) {
    json::value* own = of_a.if_contains(field.key());
    if (own == nullptr) {
      of_a[field.key()] = field.value();
    } else if (*own != field.value()) {
      *own = json::object{{"allOf", json::array{*own, field.value()}}};
    }
  }
  const bool any = a.contains("properties") || b.contains("properties");
  b.erase("properties");
  for (const auto& field : b) {
    if (!merge_key(a, field.key(), field.value())) return std::nullopt;
  }
  if (any) a["properties"] = std::move(of_a);
  return a;
}

Alternatives all(const Alternatives& a, const Alternatives& b) {
  Alternatives merged;
  for (const json::object& x : a) {
    for (const json::object& y : b) {
      if (merged.size() == kAlternativesMax) return merged;
      if (auto one = both(x, y)) merged.push_back(std::move(*one));
    }
  }
  return merged;
}

// The schema's own words, in lists where two schemas may each say something.
json::object own_words(const json::object& schema) {
  constexpr std::array<std::string_view, 11> kLeftOut = {"$ref",  "allOf",       "anyOf",   "oneOf",
                                                         "$defs", "definitions", "title",   "description",
                                                         "const", "default",     "examples"};
  json::object own;
  for (const auto& field : schema) {
    const std::string_view key = field.key();
    if (std::ranges::find(kLeftOut, key) != kLeftOut.end()) continue;
    const bool listed = key == "type" || key == "pattern" || key == "format";
    own[key] = listed ? json::value(list_of(&field.value())) : field.value();
  }
  if (const json::value* constant = schema.if_contains("const")) {
    (void)merge_key(own, "enum", json::array{*constant});
  }
  return own;
}

Alternatives expand(const json::value& root, const json::value& schema, int depth) {
  if (schema.is_bool()) return schema.get_bool() ? Alternatives{{}} : Alternatives{};
  if (!schema.is_object() || depth == kDepthMax) return {{}};
  const json::object& here = schema.get_object();
  Alternatives list = {own_words(here)};
  if (const json::value* reference = here.if_contains("$ref")) {
    const json::value link = json::object{{"$ref", *reference}};
    const json::value& target = resolved(root, link);
    if (!target.is_object() || !target.get_object().contains("$ref")) {
      list = all(list, expand(root, target, depth + 1));
    }
  }
  for (const json::value& one : list_of(here.if_contains("allOf"))) {
    list = all(list, expand(root, one, depth + 1));
  }
  for (const char* key : {"anyOf", "oneOf"}) {
    if (!here.contains(key)) continue;
    Alternatives any;
    for (const json::value& one : list_of(here.if_contains(key))) {
      for (json::object& option : expand(root, one, depth + 1)) any.push_back(std::move(option));
    }
    list = all(list, any);
  }
  return list;
}

// One for each type; what no type is said of keeps none, unless its words are a type's own.
void split(json::object schema, Alternatives& out) {
  json::array types = list_of(schema.if_contains("type"));
  if (const json::value* values = schema.if_contains("enum"); values != nullptr && values->is_array()) {
    json::array texts;
    json::array others;
    for (const json::value& value : values->get_array()) {
      const bool fits = types.empty() || std::ranges::any_of(types, [&](const json::value& type) {
                          return type.is_string() && fits_type(value, std::string_view(type.get_string()));
                        });
      if (fits) (value.is_string() ? texts : others).push_back(value);
    }
    schema.erase("type");
    if (!others.empty()) {
      out.push_back({{"enum", std::move(others)}});
    }
    if (texts.empty()) return;
    schema["enum"] = std::move(texts);
    schema["type"] = "string";
    out.push_back(std::move(schema));
    return;
  }
  if (types.empty() && schema.contains("properties")) types = {"object"};
  if (types.empty()) return out.push_back(std::move(schema));
  for (const json::value& type : types) {
    json::object& one = out.emplace_back(schema);
    one["type"] = type;
    if (type == "string") continue;
    one.erase("pattern");
    one.erase("format");
  }
}

}  // namespace

std::vector<json::object> schema_alternatives(const json::value& root, const json::value& schema) {
  Alternatives list;
  for (json::object& one : expand(root, schema, 0)) split(std::move(one), list);
  return list;
}

bool is_text(const json::object& alternative) {
  const json::value* type = alternative.if_contains("type");
  return type != nullptr && *type == "string";
}

json::object first_alternative(const json::value& root, const json::value& schema) {
  Alternatives list = schema_alternatives(root, schema);
  return list.empty() ? json::object() : std::move(list.front());
}

bool requires_property(const json::object& alternative, std::string_view name) {
  const json::value* required = alternative.if_contains("required");
  if (required == nullptr || !required->is_array()) return false;
  return std::ranges::any_of(required->get_array(), [name](const json::value& one) {
    return one.is_string() && std::string_view(one.get_string()) == name;
  });
}

}  // namespace kvasir::chat
