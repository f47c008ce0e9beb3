#pragma once
// Regular expressions as Python's `re` reads them, in the grammar engine's words. The whole answer is to
// match (re.fullmatch), so anchors at the ends say nothing new and are dropped.

#include <string>
#include <string_view>

#include "base/error.h"

namespace kvasir::chat {

// For between the slashes of a Lark terminal. kInvalidArgument for what a finite automaton cannot do
// (look-around, back-references, word boundaries), with its place.
Result<std::string> python_regex(std::string_view pattern);

}  // namespace kvasir::chat
