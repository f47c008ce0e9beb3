#include "chat/schema_view.h"

namespace kvasir::chat {
namespace {

namespace json = boost::json;

constexpr int kDepthMax = 16;
constexpr const char* kCombined[] = {"allOf", "anyOf", "oneOf"};

void add_type(std::string_view type, ValueKinds& kinds) {
  if (type == "string") {
    kinds.text = true;
  } else if (type == "null") {
    kinds.null = true;
  } else if (type == "boolean") {
    kinds.boolean = true;
  } else if (type == "array") {
    kinds.array = true;
  } else if (type == "object") {
    kinds.object = true;
  } else if (type == "integer" || type == "number") {
    kinds.integer = true;
    kinds.fraction = kinds.fraction || type == "number";
  }
}

void add_value(const json::value& value, ValueKinds& kinds) {
  constexpr std::string_view kNumber = "number";
  add_type(value.is_string()   ? "string"
           : value.is_null()   ? "null"
           : value.is_bool()   ? "boolean"
           : value.is_array()  ? "array"
           : value.is_object() ? "object"
                               : kNumber,
           kinds);
}

void add_kinds(const json::value& root, const json::value& schema, int depth, ValueKinds& kinds) {
  const json::value& here = resolved(root, schema);
  if (!here.is_object() || depth == kDepthMax) return;
  const json::object& object = here.get_object();
  if (const json::value* type = object.if_contains("type")) {
    if (type->is_string()) add_type(type->get_string(), kinds);
    if (type->is_array()) {
      for (const json::value& one : type->get_array()) {
        if (one.is_string()) add_type(one.get_string(), kinds);
      }
    }
    return;
  }
  if (const json::value* constant = object.if_contains("const")) return add_value(*constant, kinds);
  if (const json::value* values = object.if_contains("enum"); values != nullptr && values->is_array()) {
    for (const json::value& value : values->get_array()) add_value(value, kinds);
    return;
  }
  for (const char* key : kCombined) {
    const json::value* list = object.if_contains(key);
    if (list == nullptr || !list->is_array()) continue;
    for (const json::value& one : list->get_array()) add_kinds(root, one, depth + 1, kinds);
  }
  if (!kinds.unknown()) return;
  for (const char* key : {"properties", "required", "additionalProperties"}) {
    if (object.contains(key)) kinds.object = true;
  }
  if (object.contains("items")) kinds.array = true;
  if (object.contains("minimum") || object.contains("maximum")) add_type("number", kinds);
  for (const char* key : {"pattern", "format", "minLength", "maxLength"}) {
    if (object.contains(key)) kinds.text = true;
  }
}

const json::value* find_property(const json::value& root, const json::value& schema, std::string_view name,
                                 int depth) {
  const json::value& here = resolved(root, schema);
  if (!here.is_object() || depth == kDepthMax) return nullptr;
  const json::object& object = here.get_object();
  if (const json::value* properties = object.if_contains("properties");
      properties != nullptr && properties->is_object()) {
    if (const json::value* found = properties->get_object().if_contains(name)) return found;
  }
  for (const char* key : kCombined) {
    const json::value* list = object.if_contains(key);
    if (list == nullptr || !list->is_array()) continue;
    for (const json::value& one : list->get_array()) {
      if (const json::value* found = find_property(root, one, name, depth + 1)) return found;
    }
  }
  return nullptr;
}

}  // namespace

const json::value& resolved(const json::value& root, const json::value& schema) {
  const json::value* here = &schema;
  for (int step = 0; step < kDepthMax && here->is_object(); ++step) {
    const json::value* reference = here->get_object().if_contains("$ref");
    if (reference == nullptr || !reference->is_string()) break;
    const std::string_view path = reference->get_string();
    if (!path.starts_with('#')) break;
    boost::system::error_code failed;
    const json::value* target = root.find_pointer(path.substr(1), failed);
    if (failed || target == nullptr) break;
    here = target;
  }
  return *here;
}

const json::value* property_schema(const json::value& parameters, std::string_view name) {
  return find_property(parameters, parameters, name, 0);
}

bool ValueKinds::admits(std::string_view json) const {
  switch (json.empty() ? '\0' : json.front()) {
    case '\0':
      return false;
    case '"':
      return text;
    case '{':
      return object;
    case '[':
      return array;
    case 'n':
      return null;
    case 't':
    case 'f':
      return boolean;
    default:
      return fraction || (integer && json.find_first_of(".eE") == std::string_view::npos);
  }
}

ValueKinds ValueKinds::all_but_text() {
  return {.null = true, .boolean = true, .integer = true, .fraction = true, .array = true, .object = true};
}

ValueKinds value_kinds(const json::value& root, const json::value& schema) {
  ValueKinds kinds;
  add_kinds(root, schema, 0, kinds);
  return kinds;
}

}  // namespace kvasir::chat
