#pragma once
// The published forms of the tools that Anthropic's clients run themselves and name by a type only.

#include <optional>
#include <string>
#include <string_view>

#include "chat/conversation.h"

namespace kvasir::api {

// By the type, for instance "bash_20250124"; nullopt where it is none that a client runs, or one that needs
// pictures. `name` is what the request calls it.
std::optional<chat::Tool> client_tool(std::string_view type, const std::string& name);

}  // namespace kvasir::api
