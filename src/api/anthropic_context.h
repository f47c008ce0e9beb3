#pragma once
// Anthropic's context_management: what the server is to clear of a conversation before the model reads it.
//
// The client keeps and sends the whole conversation; the same edits clear the same parts of it each time.
// What is cleared changes the prompt from there on, so nothing is touched before an edit's trigger is
// reached, and an edit that would clear less than `clear_at_least`, or nothing, is not applied at all.
// Compaction (compact_20260112) is left to the client, and edits that are not known are left out with a
// warning.

#include <boost/json.hpp>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "api/fields.h"
#include "base/error.h"
#include "chat/conversation.h"

namespace kvasir::api {

// clear_thinking_20251015. A turn is all that the assistant said between two of the user's own messages.
struct ClearThinking {
  std::optional<std::size_t> keep_turns = 1;  // of those that hold a thought, the last; nullopt: all
};

// clear_tool_uses_20250919: the oldest results are replaced by a note.
struct ClearToolUses {
  enum class Trigger { kInputTokens, kToolUses };
  Trigger trigger = Trigger::kInputTokens;
  std::uint64_t trigger_above = 100'000;
  std::size_t keep = 3;                // the last uses
  std::uint64_t clear_at_least = 0;    // tokens
  std::vector<std::string> excluded;   // tools whose uses stay
  bool clear_inputs = false;           // the arguments of the calls too
  std::vector<std::string> inputs_of;  // or those of these tools
};

using ContextEdit = std::variant<ClearThinking, ClearToolUses>;

struct AppliedEdit {
  const char* type = "";   // as the response names it
  const char* count = "";  // likewise what is counted
  std::size_t cleared = 0;
  std::size_t cleared_tokens = 0;  // of the prompt
};

// nullopt where the request has no context_management. Adds to `warnings`. Throws FieldError.
std::optional<std::vector<ContextEdit>> parse_context_management(const Fields& body,
                                                                 std::vector<std::string>& warnings);

// How many tokens a conversation's prompt has.
using CountTokens = std::function<Result<std::size_t>(const chat::Conversation&)>;

// Those that were applied, in order. Calls `count` only where an edit needs it.
Result<std::vector<AppliedEdit>> apply_context_edits(std::span<const ContextEdit> edits,
                                                     chat::Conversation& conversation,
                                                     const CountTokens& count);

// {"applied_edits": [...]}
boost::json::object context_management_json(std::span<const AppliedEdit> edits);

}  // namespace kvasir::api
