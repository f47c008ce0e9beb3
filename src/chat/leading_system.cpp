#include "chat/leading_system.h"

#include <algorithm>

namespace kvasir::chat {

void lead_with_system_turns(std::vector<Message>& messages) {
  const auto is = [](Role role) { return [role](const Message& message) { return message.role == role; }; };
  const auto question = std::ranges::find_if_not(messages, is(Role::kSystem));
  const auto system = std::find_if_not(question, messages.end(), is(Role::kUser));
  const auto end = std::find_if_not(system, messages.end(), is(Role::kSystem));
  std::for_each(system, end, [](Message& message) { message.in_conversation = true; });
  std::rotate(question, system, end);
}

}  // namespace kvasir::chat
