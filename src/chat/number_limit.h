#pragma once
// Ends numbers that no reader of JSON follows: a double has 17 significant digits and a range of 308 places,
// and a small model that repeats a digit goes on until it has no tokens left (decision 34). Behind 20
// significant digits of a fraction, and behind 308 of a whole number, no further digit may come, unless
// nothing else may.

#include <memory>

#include "chat/conversation.h"
#include "chat/tool_constraint.h"
#include "engine/constraint.h"

namespace kvasir::chat {

// Puts the limit in front of `inner`, which may be null. Returns `inner` itself where it does not hold JSON:
// an expression or a grammar of the client's is its own.
std::unique_ptr<engine::Constraint> limit_numbers(const ConstraintContext& context,
                                                  const Conversation& conversation,
                                                  std::unique_ptr<engine::Constraint> inner);

}  // namespace kvasir::chat
