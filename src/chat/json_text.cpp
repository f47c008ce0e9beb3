#include "chat/json_text.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>
#include <vector>

namespace kvasir::chat {
namespace {

namespace json = boost::json;

constexpr double kMostExact = 9007199254740992.0;  // 2^53

void write_canonical(const json::value& value, std::string& out);

void write_object(const json::object& object, std::string& out) {
  std::vector<const json::key_value_pair*> fields;
  for (const auto& field : object) fields.push_back(&field);
  std::ranges::sort(fields, {}, [](const auto* field) { return std::string_view(field->key()); });
  out += '{';
  for (const auto* field : fields) {
    if (out.back() != '{') out += ',';
    out += json::serialize(field->key());
    out += ':';
    write_canonical(field->value(), out);
  }
  out += '}';
}

void write_canonical(const json::value& value, std::string& out) {
  if (value.is_object()) {
    write_object(value.get_object(), out);
  } else if (value.is_array()) {
    out += '[';
    for (const json::value& item : value.get_array()) {
      if (out.back() != '[') out += ',';
      write_canonical(item, out);
    }
    out += ']';
  } else if (value.is_number()) {
    out += json::serialize(json::value(value.to_number<double>()));
  } else {
    out += json::serialize(value);
  }
}

std::string number_text(const json::value& number) {
  if (!number.is_double()) return json::serialize(number);
  constexpr std::size_t kLongest = 32;
  char text[kLongest];
  const auto end = std::to_chars(text, text + kLongest, number.get_double()).ptr;
  std::string shortest(text, end);
  if (shortest.find_first_not_of("-0123456789") == std::string::npos) shortest += ".0";
  return shortest;
}

void write_spaced(const json::value& value, std::string& out) {
  bool first = true;
  const auto separate = [&] {
    if (!std::exchange(first, false)) out += ", ";
  };
  if (value.is_object()) {
    out += '{';
    for (const auto& field : value.get_object()) {
      separate();
      out += json::serialize(field.key()) + ": ";
      write_spaced(field.value(), out);
    }
    out += '}';
  } else if (value.is_array()) {
    out += '[';
    for (const json::value& item : value.get_array()) {
      separate();
      write_spaced(item, out);
    }
    out += ']';
  } else {
    out += value.is_number() ? number_text(value) : json::serialize(value);
  }
}

}  // namespace

std::string spaced_json(const json::value& value) {
  std::string text;
  write_spaced(value, text);
  return text;
}

void normalise_numbers(json::value& value) {
  if (value.is_object()) {
    for (auto& field : value.get_object()) normalise_numbers(field.value());
  } else if (value.is_array()) {
    for (json::value& item : value.get_array()) normalise_numbers(item);
  } else if (value.is_double()) {
    const double number = value.get_double();
    if (std::trunc(number) == number && std::abs(number) <= kMostExact) {
      value = static_cast<std::int64_t>(number);
    }
  }
}

json::value arguments_object(std::string_view arguments) {
  if (trim(arguments).empty()) return json::object();
  boost::system::error_code failed;
  json::value value = json::parse(arguments, failed);
  if (failed || !value.is_object()) return json::value(arguments);
  normalise_numbers(value);
  return value;
}

std::string canonical_arguments(std::string_view arguments) {
  const json::value value = arguments_object(arguments);
  if (value.is_string()) return std::string(trim(arguments));
  std::string text;
  write_canonical(value, text);
  return text;
}

void append_escaped(std::string& out, char c) {
  const auto byte = static_cast<unsigned char>(c);
  if (byte >= 0x20) {
    out.push_back(c);
  } else if (c == '\n') {
    out += "\\n";
  } else if (c == '\t') {
    out += "\\t";
  } else if (c == '\r') {
    out += "\\r";
  } else {
    constexpr std::string_view kHex = "0123456789abcdef";
    out += "\\u00";
    out.push_back(kHex[byte >> 4U]);
    out.push_back(kHex[byte & 0xFU]);
  }
}

void append_quoted(std::string& out, char c) {
  if (c == '"' || c == '\\') out += '\\';
  append_escaped(out, c);
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) append_quoted(out, c);
  return out + '"';
}

std::string_view trim(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n\f\v";
  const std::size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

}  // namespace kvasir::chat
