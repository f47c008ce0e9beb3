#include "chat/schema_patterns.h"

namespace kvasir::chat {
namespace {

namespace json = boost::json;

// Values, not schemas: nothing in them is a pattern.
bool holds_values(std::string_view key) {
  return key == "const" || key == "enum" || key == "default" || key == "examples";
}

json::value convert(const json::value& schema) {
  if (schema.is_array()) {
    json::array list;
    for (const json::value& one : schema.get_array()) list.push_back(convert(one));
    return list;
  }
  if (!schema.is_object()) return schema;
  json::object made;
  for (const auto& field : schema.get_object()) {
    const std::string_view key = field.key();
    if (key == "pattern" && field.value().is_string()) {
      made[key] = with_ascii_classes(field.value().get_string());
    } else if (key == "patternProperties" && field.value().is_object()) {
      json::object patterns;
      for (const auto& one : field.value().get_object())
        patterns[with_ascii_classes(one.key())] = convert(one.value());
      made[key] = std::move(patterns);
    } else if ((key == "properties" || key == "$defs" || key == "definitions") && field.value().is_object()) {
      json::object named;
      for (const auto& one : field.value().get_object()) named[one.key()] = convert(one.value());
      made[key] = std::move(named);
    } else {
      made[key] = holds_values(key) ? field.value() : convert(field.value());
    }
  }
  return made;
}

}  // namespace

std::string with_ascii_classes(std::string_view pattern) {
  constexpr std::string_view kDigit = "0-9";
  constexpr std::string_view kWord = "A-Za-z0-9_";
  std::string made;
  bool in_class = false;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c != '\\' || i + 1 == pattern.size()) {
      in_class = c == '[' || (in_class && c != ']');
      made += c;
      continue;
    }
    const char escaped = pattern[++i];
    const bool negated = escaped == 'D' || escaped == 'W';
    const bool digit = escaped == 'd' || escaped == 'D';
    const bool word = escaped == 'w' || escaped == 'W';
    if ((!digit && !word) || (negated && in_class)) {
      made += {c, escaped};
    } else if (in_class) {
      made += digit ? kDigit : kWord;
    } else {
      made += (negated ? "[^" : "[") + std::string(digit ? kDigit : kWord) + "]";
    }
  }
  return made;
}

json::value with_ascii_patterns(const json::value& schema) {
  return convert(schema);
}

}  // namespace kvasir::chat
