#pragma once
// What the keywords of a JSON Schema hold, as those ask who walk through one.

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <string_view>

namespace kvasir::chat {

template <std::size_t N>
bool one_of(const std::string_view (&keys)[N], std::string_view key) {
  return std::ranges::find(keys, key) != std::end(keys);
}

// Values, not schemas: nothing in them is a pattern or refers to anything.
inline bool holds_values(std::string_view key) {
  return key == "const" || key == "enum" || key == "default" || key == "examples";
}

}  // namespace kvasir::chat
