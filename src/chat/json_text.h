#pragma once
// JSON that clients send back in other words than it was written in: white space, escapes, the spelling of
// numbers (JavaScript knows no 1.0) and, in some, the order of keys.

#include <boost/json.hpp>
#include <string>
#include <string_view>

namespace kvasir::chat {

// Numbers that are whole become integers (1.0, 1e2), as far as a double holds whole numbers exactly. White
// space and escapes go with parsing; keys keep their order.
void normalise_numbers(boost::json::value& value);

// Arguments of a call as the object that templates write out, normalised; the bare string where they are no
// JSON object, and an empty object where they are blank.
boost::json::value arguments_object(std::string_view arguments);

// One text for all spellings of the same arguments: keys sorted, no white space, numbers as JavaScript would
// read them. For comparing, not for showing.
std::string canonical_arguments(std::string_view arguments);

std::string_view trim(std::string_view text);

}  // namespace kvasir::chat
