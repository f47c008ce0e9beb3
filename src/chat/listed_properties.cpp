#include "chat/listed_properties.h"

#include <algorithm>
#include <string_view>

#include "chat/schema_keys.h"

namespace kvasir::chat {
namespace {

namespace json = boost::json;

// What hold schemas by name, in a list or alone, of which each is an object's whole description.
constexpr std::string_view kNamed[] = {"properties", "patternProperties", "$defs", "definitions"};
constexpr std::string_view kHeld[] = {"items", "prefixItems", "additionalProperties", "anyOf"};
// What tells more about the same object: neither it nor these are changed.
constexpr std::string_view kParts[] = {"allOf", "anyOf", "oneOf",           "not", "if", "$ref",
                                       "then",  "else",  "dependentSchemas"};
constexpr std::string_view kOthers[] = {"additionalProperties", "patternProperties", "unevaluatedProperties",
                                        "propertyNames", "dependentRequired"};
// What stands beside a $ref without being a part of its target.
constexpr std::string_view kNotes[] = {"description", "title",   "default",     "examples",
                                       "$comment",    "$schema", "deprecated",  "$defs",
                                       "definitions", "$id",     "$vocabulary", "$ref"};

template <std::size_t N>
bool has_any(const json::object& schema, const std::string_view (&keys)[N]) {
  return std::ranges::any_of(schema, [&](const auto& field) { return one_of(keys, field.key()); });
}

// Whether a schema that is referred to may be a part of an object that others describe too.
bool refers_to_parts(const json::value& schema, bool in_part) {
  if (schema.is_array()) {
    return std::ranges::any_of(schema.get_array(),
                               [&](const json::value& one) { return refers_to_parts(one, in_part); });
  }
  if (!schema.is_object()) return false;
  const json::object& object = schema.get_object();
  const bool beside = std::ranges::any_of(object, [](const auto& f) { return !one_of(kNotes, f.key()); });
  if (object.contains("$ref") && (in_part || beside)) return true;
  return std::ranges::any_of(object, [&](const auto& field) {
    const bool part = one_of(kParts, field.key()) && field.key() != "anyOf";
    return refers_to_parts(field.value(), in_part || part);
  });
}

bool lists_all(const json::object& schema) {
  const json::value* properties = schema.if_contains("properties");
  if (properties == nullptr || !properties->is_object()) return false;
  if (has_any(schema, kParts) || has_any(schema, kOthers)) return false;
  const json::object& listed = properties->get_object();
  if (const json::value* required = schema.if_contains("required"); required && required->is_array()) {
    for (const json::value& name : required->get_array()) {
      if (!name.is_string() || !listed.contains(name.get_string())) return false;
    }
  }
  const json::value* least = schema.if_contains("minProperties");
  return least == nullptr ||
         (least->is_number() && least->to_number<double>() <= static_cast<double>(listed.size()));
}

json::value closed(const json::value& schema) {
  if (schema.is_array()) {
    json::array list;
    for (const json::value& one : schema.get_array()) list.push_back(closed(one));
    return list;
  }
  if (!schema.is_object()) return schema;
  const json::object& object = schema.get_object();
  // Beside anything that describes the object, what an anyOf tells would be a part.
  const bool whole = !object.contains("properties") && !has_any(object, kOthers) &&
                     std::ranges::none_of(
                         object, [](const auto& f) { return f.key() != "anyOf" && one_of(kParts, f.key()); });
  json::object made;
  for (const auto& field : object) {
    const std::string_view key = field.key();
    if (one_of(kNamed, key) && field.value().is_object()) {
      json::object& named = made[key].emplace_object();
      for (const auto& one : field.value().get_object()) named[one.key()] = closed(one.value());
    } else if (one_of(kHeld, key) && (key != "anyOf" || whole)) {
      made[key] = closed(field.value());
    } else {
      made[key] = field.value();
    }
  }
  if (lists_all(object)) made["additionalProperties"] = false;
  return made;
}

}  // namespace

json::value with_listed_properties(const json::value& schema) {
  return refers_to_parts(schema, false) ? schema : closed(schema);
}

}  // namespace kvasir::chat
