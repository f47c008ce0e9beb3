#pragma once
// Which marks of a format are control tokens in a vocabulary. Such a token is never part of an answer's text,
// but the parser must see it, and a grammar must name it.

#include <vector>

#include "chat/template_traits.h"
#include "text/tokenizer.h"

namespace kvasir::chat {

// Looks at every token once: for when a model is loaded.
std::vector<Marker> find_markers(const ToolFormat& format, const ReasoningFormat& reasoning,
                                 const text::Tokenizer& tokenizer);

}  // namespace kvasir::chat
