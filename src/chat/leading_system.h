#pragma once
// Claude Code's first turns: the question, then a system turn of some thousand tokens that says where it runs
// and which agents and skills there are. What stands behind a question is read again with every other
// question; so that system turn goes in front of it. It stays there for the whole conversation, which makes
// the order a pure function of what the client sends, and nothing behind the first answer moves.

#include <vector>

#include "chat/conversation.h"

namespace kvasir::chat {

// Puts the system turns that directly follow the first question in front of it.
void lead_with_system_turns(std::vector<Message>& messages);

}  // namespace kvasir::chat
