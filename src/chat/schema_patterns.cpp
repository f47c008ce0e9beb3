#include "chat/schema_patterns.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>

#include "chat/schema_keys.h"
#include "chat/text_formats.h"

namespace kvasir::chat {
namespace {

namespace json = boost::json;

// Formats of which the engine's own expressions admit what is no such thing: 2023-02-29, and times, durations
// and addresses of a thousand digits, which a small model that has begun to repeat itself does write.
bool needs_own_expression(const json::value& format) {
  constexpr std::string_view kOwn[] = {"date", "time", "date-time", "duration", "email", "hostname"};
  return format.is_string() &&
         std::ranges::find(kOwn, std::string_view(format.get_string())) != std::end(kOwn);
}

// Longer than any that is registered (IANA): the engine lets a scheme go on for ever.
constexpr std::string_view kUriScheme = "^[a-zA-Z][a-zA-Z0-9+.-]{0,31}:";

bool is_of_type(const json::object& schema, std::string_view name) {
  const auto names = [&](const json::value& one) {
    return one.is_string() && std::string_view(one.get_string()) == name;
  };
  const json::value* type = schema.if_contains("type");
  if (type == nullptr) return false;
  return type->is_array() ? std::ranges::any_of(type->get_array(), names) : names(*type);
}

bool says_any_of(const json::object& schema, std::initializer_list<std::string_view> keys) {
  return std::ranges::any_of(keys, [&](std::string_view key) { return schema.contains(key); });
}

// Integers of no more than 64 bits, a round number of them: longer ones no client reads, and they are how a
// small model repeats a digit without end. So with numbers that the engine has written in digits alone: those
// that have a bound or are multiples. Past a double's range they are infinite to who reads them.
void limit_number(json::object& schema) {
  constexpr std::int64_t kMost = 9'200'000'000'000'000'000;
  const bool in_digits =
      says_any_of(schema, {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"});
  const bool fraction = is_of_type(schema, "number");
  if (fraction ? !in_digits : !is_of_type(schema, "integer")) return;
  const auto limit = [&](std::string_view key, std::string_view exclusive, std::string_view other,
                         std::string_view other_exclusive, std::int64_t most) {
    if (schema.contains(key) || schema.contains(exclusive)) return;
    for (const std::string_view name : {other, other_exclusive}) {
      const json::value* bound = schema.if_contains(name);
      if (bound == nullptr) continue;
      if (!bound->is_number() || std::abs(bound->to_number<double>()) > static_cast<double>(kMost)) return;
    }
    schema[key] = most;
  };
  limit("maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum", kMost);
  limit("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", -kMost);
}

void limit_length(json::object& schema, std::size_t most) {
  const json::value* had = schema.if_contains("maxLength");
  if (had == nullptr || !had->is_number() || had->to_number<double>() > static_cast<double>(most))
    schema["maxLength"] = most;
}

void add_pattern(json::object& schema, std::string_view pattern) {
  if (!schema.contains("pattern")) {
    schema["pattern"] = pattern;
    return;
  }
  json::value& all = schema["allOf"];
  if (!all.is_array()) all = json::array();
  all.get_array().push_back(json::object{{"pattern", pattern}});
}

// Schemas by name; with `keys_are_patterns` the names are patterns.
json::value with_engine_patterns_each(const json::value& named, bool keys_are_patterns) {
  if (!named.is_object()) return named;
  json::object made;
  for (const auto& field : named.get_object()) {
    const std::string_view key = field.key();
    made[keys_are_patterns ? with_ascii_classes(key) : std::string(key)] =
        with_engine_patterns(field.value());
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

std::vector<std::string> pattern_alternatives(std::string_view pattern) {
  std::vector<std::string> all(1);
  bool in_class = false;
  int depth = 0;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c == '\\' && i + 1 < pattern.size()) {
      all.back() += {c, pattern[++i]};
      continue;
    }
    in_class = c == '[' || (in_class && c != ']');
    if (!in_class && c == '(') ++depth;
    if (!in_class && c == ')') --depth;
    if (!in_class && depth == 0 && c == '|') {
      all.emplace_back();
    } else {
      all.back() += c;
    }
  }
  return all;
}

json::value with_engine_patterns(const json::value& schema) {
  if (schema.is_array()) {
    json::array list;
    for (const json::value& one : schema.get_array()) list.push_back(with_engine_patterns(one));
    return list;
  }
  if (!schema.is_object()) return schema;
  json::object made;
  std::string own;
  std::optional<std::size_t> most;
  for (const auto& field : schema.get_object()) {
    const std::string_view key = field.key();
    const json::value& value = field.value();
    if (key == "format" && value == json::value("uri")) {
      made[key] = value;
      own = kUriScheme;
    } else if (key == "format" && needs_own_expression(value)) {
      own = "^(" + *format_expression(value.get_string()) + ")$";
      most = format_length_max(value.get_string());
    } else if (key == "pattern" && value.is_string()) {
      made[key] = with_ascii_classes(value.get_string());
    } else if (key == "patternProperties" || key == "properties" || key == "$defs" || key == "definitions") {
      made[key] = with_engine_patterns_each(value, key == "patternProperties");
    } else {
      made[key] = holds_values(key) ? value : with_engine_patterns(value);
    }
  }
  if (!own.empty()) add_pattern(made, own);
  if (most) limit_length(made, *most);
  limit_number(made);
  return made;
}

}  // namespace kvasir::chat
