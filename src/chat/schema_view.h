#pragma once
// What a tool's JSON Schema says of one parameter, as far as reading and constraining its text needs it.

#include <boost/json.hpp>
#include <string_view>

namespace kvasir::chat {

// The schema that `schema` stands for, with references within `root` followed (a few: a cycle ends
// somewhere).
const boost::json::value& resolved(const boost::json::value& root, const boost::json::value& schema);

// The schema of a property of `parameters`, in one of its allOf, anyOf or oneOf too, or null.
const boost::json::value* property_schema(const boost::json::value& parameters, std::string_view name);

// Which kinds of values a schema admits.
struct ValueKinds {
  bool text = false;
  bool null = false;
  bool boolean = false;
  bool integer = false;
  bool fraction = false;  // numbers that are not whole
  bool array = false;
  bool object = false;
  bool told = false;  // by the call itself, not by a schema
  bool other() const { return boolean || integer || fraction || array || object; }
  // Nothing is said, or nothing that is understood here.
  bool unknown() const { return !text && !null && !other(); }
  // Whether this JSON is a value of one of the kinds.
  bool admits(std::string_view json) const;
  static ValueKinds all_but_text();
};
ValueKinds value_kinds(const boost::json::value& root, const boost::json::value& schema);

}  // namespace kvasir::chat
