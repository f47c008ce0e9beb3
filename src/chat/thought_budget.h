#pragma once
// Ends a thought that has taken as many tokens as it may, so that the answer follows: what the family writes
// between a thought and its answer is the only thing that may come next, token by token. Up to a sixteenth of
// the budget earlier (32 tokens at most) where a line or a sentence ends there. Nothing is changed for a
// thought that ends before.
//
// Every token between the tags counts. Where a family may think again later in an answer, all thoughts share
// the budget, and once it is spent no further one may open.

#include <cstdint>
#include <memory>

#include "chat/tool_constraint.h"
#include "engine/constraint.h"

namespace kvasir::chat {

// Puts the conversation's limit in front of `inner`, which may be null and holds on to what it allows.
// Returns `inner` itself where there is no limit, or the model does not think.
std::unique_ptr<engine::Constraint> limit_thought(const ConstraintContext& context, const ThinkingWish& wish,
                                                  std::unique_ptr<engine::Constraint> inner);

}  // namespace kvasir::chat
