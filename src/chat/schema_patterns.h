#pragma once
// JSON Schema's texts as the grammar engine wants them. Patterns are ECMA-262's, where \d and \w are ASCII;
// the engine's are Unicode's. Of dates the engine admits days that no calendar has,
// and durations of any length. Pure functions.

#include <boost/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace kvasir::chat {

// \d, \w, \D and \W written out (in a character class, the first two).
std::string with_ascii_classes(std::string_view pattern);
// The alternatives at the pattern's top: at least one, without the bars between them.
std::vector<std::string> pattern_alternatives(std::string_view pattern);
// The schema with all its patterns so, and with the formats of dates as patterns.
boost::json::value with_engine_patterns(const boost::json::value& schema);

}  // namespace kvasir::chat
