#include "api/fields.h"

#include <cmath>
#include <cstdio>

namespace kvasir::api {
namespace {

namespace json = boost::json;

// Deep enough for any tool's schema, and what the text layer's own reader takes with the levels that the chat
// template's context adds.
constexpr std::size_t kMaxDepth = 100;

std::string plain(double number) {
  char text[32];
  std::snprintf(text, sizeof text, "%g", number);
  return text;
}

// Where `text` stops being UTF-8 (RFC 3629: no surrogates, no overlong forms), or its size.
std::size_t valid_utf8_until(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    const auto byte = [&](std::size_t offset) {
      return at + offset < text.size() ? static_cast<unsigned char>(text[at + offset]) : 0U;
    };
    const unsigned lead = byte(0);
    const std::size_t length = lead < 0x80          ? 1
                               : lead >> 5U == 0x6  ? 2
                               : lead >> 4U == 0xE  ? 3
                               : lead >> 3U == 0x1E ? 4
                                                    : 0;
    if (length == 0) return at;
    for (std::size_t i = 1; i < length; ++i) {
      if (byte(i) >> 6U != 0x2) return at;
    }
    const bool overlong =
        lead == 0xC0 || lead == 0xC1 || (lead == 0xE0 && byte(1) < 0xA0) || (lead == 0xF0 && byte(1) < 0x90);
    const bool outside = (lead == 0xED && byte(1) > 0x9F) || lead > 0xF4 || (lead == 0xF4 && byte(1) > 0x8F);
    if (overlong || outside) return at;
    at += length;
  }
  return at;
}

}  // namespace

bool is_utf8(std::string_view text) {
  return valid_utf8_until(text) == text.size();
}

void field_error(const std::string& path, const std::string& problem) {
  throw FieldError(
      make_error(ErrorCode::kInvalidArgument, path.empty() ? problem : path + ": " + problem, path));
}

std::string element_path(const std::string& path, std::size_t index) {
  return path + "[" + std::to_string(index) + "]";
}

std::string to_string(const json::value& string_value) {
  const json::string& text = string_value.get_string();
  return {text.data(), text.size()};
}

Fields::Fields(const json::value& value, std::string path)
    : object_(value.if_object()), path_(std::move(path)) {
  if (object_ == nullptr)
    field_error(path_, path_.empty() ? "the body must be a JSON object" : "must be an object");
}

const json::value* Fields::find(std::string_view key) const {
  const json::value* value = object_->if_contains(json::string_view(key.data(), key.size()));
  return value == nullptr || value->is_null() ? nullptr : value;
}

std::string Fields::path_of(std::string_view key) const {
  return path_.empty() ? std::string(key) : path_ + "." + std::string(key);
}

std::optional<bool> Fields::boolean(std::string_view key) const {
  const json::value* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_bool()) field_error(path_of(key), "must be true or false");
  return value->get_bool();
}

std::optional<double> Fields::number(std::string_view key, double least, double most) const {
  const json::value* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number()) field_error(path_of(key), "must be a number");
  const auto number = value->to_number<double>();
  if (!(number >= least && number <= most)) {
    field_error(path_of(key),
                "must be between " + plain(least) + " and " + plain(most) + ", not " + plain(number));
  }
  return number;
}

std::optional<std::int64_t> Fields::integer(std::string_view key, std::int64_t least,
                                            std::int64_t most) const {
  const json::value* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number()) field_error(path_of(key), "must be a whole number");
  boost::system::error_code failed;
  const auto number = value->to_number<std::int64_t>(failed);
  if (failed && value->is_double() && std::trunc(value->get_double()) != value->get_double()) {
    field_error(path_of(key), "must be a whole number");
  }
  if (failed || number < least || number > most) {
    field_error(path_of(key), "must be between " + std::to_string(least) + " and " + std::to_string(most) +
                                  ", not " +
                                  (failed ? plain(value->to_number<double>()) : std::to_string(number)));
  }
  return number;
}

std::optional<std::string> Fields::string(std::string_view key) const {
  const json::value* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) field_error(path_of(key), "must be a string");
  return to_string(*value);
}

std::string Fields::required_string(std::string_view key) const {
  std::optional<std::string> text = string(key);
  if (!text) field_error(path_of(key), "is required and must be a string");
  return *std::move(text);
}

const json::array* Fields::array(std::string_view key) const {
  const json::value* value = find(key);
  if (value == nullptr) return nullptr;
  if (!value->is_array()) field_error(path_of(key), "must be a list");
  return &value->get_array();
}

const json::object* Fields::object(std::string_view key) const {
  const json::value* value = find(key);
  if (value == nullptr) return nullptr;
  if (!value->is_object()) field_error(path_of(key), "must be an object");
  return &value->get_object();
}

std::optional<Fields> Fields::fields(std::string_view key) const {
  const json::value* value = find(key);
  if (value == nullptr) return std::nullopt;
  return Fields(*value, path_of(key));
}

Result<json::value> parse_body(std::string_view body) {
  const std::size_t valid = valid_utf8_until(body);
  if (valid != body.size()) {
    return make_error(ErrorCode::kInvalidArgument,
                      "the body is not valid UTF-8 at byte " + std::to_string(valid));
  }
  json::parse_options options;
  options.max_depth = kMaxDepth;
  json::parser parser({}, options);
  boost::system::error_code failed;
  const std::size_t read = parser.write_some(body.data(), body.size(), failed);
  if (failed) {
    const std::string why = failed.message();
    return make_error(ErrorCode::kInvalidArgument,
                      "the body is not valid JSON at byte " + std::to_string(read) + ": " + why);
  }
  if (body.find_first_not_of(" \t\r\n", read) != std::string_view::npos) {
    return make_error(
        ErrorCode::kInvalidArgument,
        "the body is not valid JSON at byte " + std::to_string(read) + ": something follows the value");
  }
  json::value value = parser.release();
  if (!value.is_object()) return make_error(ErrorCode::kInvalidArgument, "the body must be a JSON object");
  return value;
}

}  // namespace kvasir::api
