#pragma once
// A JSON Schema taken apart: references, allOf, anyOf, oneOf and lists of types become plain schemas of one
// kind each, any of which a value may fit. For the syntaxes whose grammar is written here.

#include <boost/json.hpp>
#include <optional>
#include <string_view>
#include <vector>

namespace kvasir::chat {

// Schemas without `$ref`, `allOf`, `anyOf`, `oneOf` and `const` at their top; "type" is one name or missing
// (any value, unless there is an "enum"); "enum" holds only texts or none. "pattern" and "format" are lists.
// What lies deeper is left as it is. Empty where no value fits. oneOf is read as anyOf: that its options
// exclude each other is for the grammar engine to check.
std::vector<boost::json::object> schema_alternatives(const boost::json::value& root,
                                                     const boost::json::value& schema);

bool is_text(const boost::json::object& alternative);

// The first of them, which is what an object's properties are read from; empty where there is none.
boost::json::object first_alternative(const boost::json::value& root, const boost::json::value& schema);
// Whether its "required" names the property.
bool requires_property(const boost::json::object& alternative, std::string_view name);

}  // namespace kvasir::chat
