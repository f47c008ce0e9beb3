#include "chat/json_text.h"

#include <algorithm>
#include <cmath>
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

}  // namespace

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

std::string_view trim(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n\f\v";
  const std::size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

}  // namespace kvasir::chat
