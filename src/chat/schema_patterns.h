#pragma once
// JSON Schema's patterns are ECMA-262's, where \d and \w are ASCII; the grammar engine's are Unicode's. Pure
// functions.

#include <boost/json.hpp>
#include <string>
#include <string_view>

namespace kvasir::chat {

// \d, \w, \D and \W written out (in a character class, the first two).
std::string with_ascii_classes(std::string_view pattern);
// The schema with all its patterns so.
boost::json::value with_ascii_patterns(const boost::json::value& schema);

}  // namespace kvasir::chat
