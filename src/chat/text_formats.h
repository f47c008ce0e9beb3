#pragma once
// JSON Schema's `format` as regular expressions, for texts that the grammar engine does not read a schema of.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace kvasir::chat {

// An expression that matches whole texts of the format (RFC 3339, 5321, 1123, 4122, 3986; ISO 8601), in the
// engine's syntax; nothing for a format that is not enforced.
std::optional<std::string> format_expression(std::string_view format);
// Characters of the longest such text, where the format's own standard says so (RFC 5321, 1123).
std::optional<std::size_t> format_length_max(std::string_view format);

}  // namespace kvasir::chat
