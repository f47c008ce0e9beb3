#pragma once
// The simple kinds of answers that a client may ask for, as grammars in llguidance's Lark dialect with a rule
// `start`.

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace kvasir::chat {

// Errors of all: kInvalidArgument, in words that fit behind the field's name.
Result<std::string> regex_grammar(std::string_view pattern);
// One of the choices, and nothing around it. At least one has a text.
Result<std::string> choice_grammar(const std::vector<std::string>& choices);
// Lark, or GBNF where it reads so.
Result<std::string> any_grammar(std::string_view text);

}  // namespace kvasir::chat
