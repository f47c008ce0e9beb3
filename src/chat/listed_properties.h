#pragma once
// A tool's parameters read as their author means them: an object that lists its properties has these and no
// others, unless its schema says otherwise. JSON Schema's own default, any others, is what small models fill
// with arguments that they make up, and no tool reads them (docs/decisions/0029-listed-properties.md).

#include <boost/json.hpp>

namespace kvasir::chat {

// The schema with "additionalProperties": false wherever `properties` stand without a word about others.
// Everything that fits it fits the schema. Left as they are: objects of which several schemas tell parts
// (allOf, $ref beside other keywords), and what is under oneOf, not or if, where narrower means something
// else.
boost::json::value with_listed_properties(const boost::json::value& schema);

}  // namespace kvasir::chat
