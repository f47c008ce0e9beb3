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

// JSON with the white space that Python's json.dumps and with it most templates write: `, ` and `: `.
std::string spaced_json(const boost::json::value& value);

// Appends a character of a string that is JSON but for raw control characters, which models write: those are
// escaped.
void append_escaped(std::string& out, char c);
// Appends a character of plain text to the inside of a JSON string.
void append_quoted(std::string& out, char c);
// Text as a JSON string.
std::string quoted(std::string_view text);

std::string_view trim(std::string_view text);

}  // namespace kvasir::chat
