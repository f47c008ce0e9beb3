#pragma once
// Ends a turn in which the model makes one call over and over, as small models do until they have no tokens
// left: once it has made the same call, of the same arguments, eight times, it may make no other, and the
// answer ends as soon as its format lets it. Decision 32 says why eight.

#include <memory>

#include "chat/conversation.h"
#include "chat/tool_constraint.h"
#include "engine/constraint.h"

namespace kvasir::chat {

// Puts the end in front of `inner`, which may be null. Returns `inner` itself where an answer has no calls or
// but one. `declared_only`: `inner` admits calls of the conversation's tools only.
std::unique_ptr<engine::Constraint> end_repetition(const ConstraintContext& context,
                                                   const Conversation& conversation, bool declared_only,
                                                   std::unique_ptr<engine::Constraint> inner);

}  // namespace kvasir::chat
