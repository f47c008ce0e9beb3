#pragma once
// Reading request bodies: every accessor checks type and range and, where they are wrong, throws a FieldError
// that names the field ("messages[2].content: must be ..."). The exception stays inside this layer: parse
// functions catch it and return its Error. A null field counts as absent; unknown fields are nobody's
// business.

#include <boost/json.hpp>
#include <cstdint>
#include <exception>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace kvasir::api {

class FieldError : public std::exception {
 public:
  explicit FieldError(Error error) : error_(std::move(error)) {}
  const Error& error() const { return error_; }
  const char* what() const noexcept override { return error_.message.c_str(); }

 private:
  Error error_;
};

[[noreturn]] void field_error(const std::string& path, const std::string& problem);

// One JSON object of a request. Refers to the value; cheap to copy.
class Fields {
 public:
  // `path` names the object in errors; empty for the body itself. Throws where `value` is no object.
  Fields(const boost::json::value& value, std::string path);

  // Null where absent.
  const boost::json::value* find(std::string_view key) const;
  std::string path_of(std::string_view key) const;

  std::optional<bool> boolean(std::string_view key) const;
  std::optional<double> number(std::string_view key, double least, double most) const;
  // Takes 3.0 for 3, as some clients send it.
  std::optional<std::int64_t> integer(std::string_view key, std::int64_t least, std::int64_t most) const;
  std::optional<std::string> string(std::string_view key) const;
  std::string required_string(std::string_view key) const;
  const boost::json::array* array(std::string_view key) const;
  const boost::json::object* object(std::string_view key) const;
  // The nested object's fields, where there is one.
  std::optional<Fields> fields(std::string_view key) const;

  const boost::json::object& all() const { return *object_; }
  const std::string& path() const { return path_; }

 private:
  const boost::json::object* object_;
  std::string path_;
};

std::string element_path(const std::string& path, std::size_t index);
std::string to_string(const boost::json::value& string_value);

// RFC 3629: no surrogates, no overlong forms.
bool is_utf8(std::string_view text);

// A request body: UTF-8, JSON, an object. kInvalidArgument says where it stops being so.
Result<boost::json::value> parse_body(std::string_view body);

}  // namespace kvasir::api
