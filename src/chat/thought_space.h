#pragma once
// The white space that a template writes around a thought, read off what it renders.

#include <string_view>

#include "chat/tool_format.h"

namespace kvasir::chat {

// From an assistant turn with this thought and this answer. False where it shows no thought.
bool learn_space_from_turn(ReasoningFormat& reasoning, std::string_view rendered, std::string_view thought,
                           std::string_view answer);
// From a prompt that ends with a thought that has been closed at once, where it does.
void learn_space_from_silence(ReasoningFormat& reasoning, std::string_view prompt);

}  // namespace kvasir::chat
