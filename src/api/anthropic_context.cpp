#include "api/anthropic_context.h"

#include <algorithm>
#include <limits>
#include <set>

namespace kvasir::api {
namespace {

namespace json = boost::json;

constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
constexpr std::string_view kClearedResult = "[old tool result cleared]";

// {"type": T, "value": N}, whose type must be one of `types`.
std::optional<std::pair<std::string, std::uint64_t>> parse_amount(
    const Fields& edit, std::string_view key, std::initializer_list<std::string_view> types) {
  const std::optional<Fields> amount = edit.fields(key);
  if (!amount) return std::nullopt;
  const std::string type = amount->required_string("type");
  if (std::ranges::find(types, type) == types.end())
    field_error(amount->path_of("type"), "\"" + type + "\" is not one that this field has");
  const auto value = amount->integer("value", 0, kMost);
  if (!value) field_error(amount->path_of("value"), "is required and must be a whole number");
  return std::pair(type, static_cast<std::uint64_t>(*value));
}

std::vector<std::string> parse_names(const Fields& edit, std::string_view key) {
  std::vector<std::string> names;
  const json::array* list = edit.array(key);
  if (list == nullptr) return names;
  for (std::size_t i = 0; i < list->size(); ++i) {
    if (!(*list)[i].is_string()) field_error(element_path(edit.path_of(key), i), "must be a string");
    names.push_back(to_string((*list)[i]));
  }
  return names;
}

ClearThinking parse_clear_thinking(const Fields& edit) {
  ClearThinking parsed;
  const json::value* keep = edit.find("keep");
  if (keep == nullptr) return parsed;
  const bool all = keep->is_string() && to_string(*keep) == "all";
  if (all || edit.fields("keep")->required_string("type") == "all") {
    parsed.keep_turns.reset();
  } else {
    parsed.keep_turns = parse_amount(edit, "keep", {"thinking_turns"})->second;
  }
  return parsed;
}

ClearToolUses parse_clear_tool_uses(const Fields& edit) {
  ClearToolUses parsed;
  if (const auto trigger = parse_amount(edit, "trigger", {"input_tokens", "tool_uses"})) {
    parsed.trigger = trigger->first == "tool_uses" ? ClearToolUses::Trigger::kToolUses
                                                   : ClearToolUses::Trigger::kInputTokens;
    parsed.trigger_above = trigger->second;
  }
  if (const auto keep = parse_amount(edit, "keep", {"tool_uses"})) parsed.keep = keep->second;
  if (const auto least = parse_amount(edit, "clear_at_least", {"input_tokens"}))
    parsed.clear_at_least = least->second;
  parsed.excluded = parse_names(edit, "exclude_tools");
  const json::value* inputs = edit.find("clear_tool_inputs");
  if (inputs != nullptr && inputs->is_array()) {
    parsed.inputs_of = parse_names(edit, "clear_tool_inputs");
  } else {
    parsed.clear_inputs = edit.boolean("clear_tool_inputs").value_or(false);
  }
  return parsed;
}

// Removes the thoughts of all turns but the last `keep`; returns in how many turns there were any.
std::size_t clear_thoughts(chat::Conversation& conversation, std::size_t keep) {
  // Text beside a result (a client's reminder) does not begin a turn of the user's own.
  std::set<std::size_t> with_results;
  for (const chat::Message& message : conversation.messages) {
    if (message.role == chat::Role::kTool && message.client_index) with_results.insert(*message.client_index);
  }
  std::size_t thinking_turns = 0;  // counted from the end
  bool counted = false;            // the turn at hand
  std::size_t cleared = 0;
  for (auto message = conversation.messages.rbegin(); message != conversation.messages.rend(); ++message) {
    if (message->role == chat::Role::kUser && !with_results.contains(message->client_index.value_or(0))) {
      counted = false;
    }
    if (message->role != chat::Role::kAssistant || message->reasoning.empty()) continue;
    if (!counted) ++thinking_turns;
    if (thinking_turns > keep) {
      if (!counted) ++cleared;
      message->reasoning.clear();
    }
    counted = true;
  }
  return cleared;
}

struct ToolUse {
  chat::ToolCall* call = nullptr;
  chat::Message* result = nullptr;  // null where there is none
};

std::vector<ToolUse> tool_uses(chat::Conversation& conversation) {
  std::vector<ToolUse> uses;
  for (chat::Message& message : conversation.messages) {
    for (chat::ToolCall& call : message.tool_calls) uses.push_back({&call});
    if (message.role != chat::Role::kTool) continue;
    const auto use = std::find_if(uses.rbegin(), uses.rend(),
                                  [&](const ToolUse& u) { return u.call->id == message.tool_call_id; });
    if (use != uses.rend()) use->result = &message;
  }
  return uses;
}

bool holds(const std::vector<std::string>& names, const std::string& name) {
  return std::ranges::find(names, name) != names.end();
}

// How many uses were cleared.
std::size_t clear_uses(const ClearToolUses& edit, chat::Conversation& conversation) {
  std::vector<ToolUse> uses = tool_uses(conversation);
  uses.resize(uses.size() - std::min(uses.size(), edit.keep));
  std::size_t cleared = 0;
  for (const ToolUse& use : uses) {
    if (use.result == nullptr || holds(edit.excluded, use.call->name)) continue;
    use.result->content = kClearedResult;
    if (edit.clear_inputs || holds(edit.inputs_of, use.call->name)) use.call->arguments = "{}";
    ++cleared;
  }
  return cleared;
}

}  // namespace

std::optional<std::vector<ContextEdit>> parse_context_management(const Fields& body,
                                                                 std::vector<std::string>& warnings) {
  const std::optional<Fields> management = body.fields("context_management");
  if (!management) return std::nullopt;
  std::vector<ContextEdit> edits;
  const json::array* list = management->array("edits");
  if (list == nullptr) return edits;
  for (std::size_t i = 0; i < list->size(); ++i) {
    const Fields edit((*list)[i], element_path(management->path_of("edits"), i));
    const std::string type = edit.required_string("type");
    if (type == "clear_thinking_20251015") {
      edits.emplace_back(parse_clear_thinking(edit));
    } else if (type == "clear_tool_uses_20250919") {
      edits.emplace_back(parse_clear_tool_uses(edit));
    } else {
      warnings.push_back(edit.path() + ": \"" + type + "\" is not done here");
    }
  }
  return edits;
}

Result<std::vector<AppliedEdit>> apply_context_edits(std::span<const ContextEdit> edits,
                                                     chat::Conversation& conversation,
                                                     const CountTokens& count) {
  std::vector<AppliedEdit> applied;
  std::optional<std::size_t> tokens;  // of the conversation as it is
  for (const ContextEdit& edit : edits) {
    const auto* uses = std::get_if<ClearToolUses>(&edit);
    const auto* thinking = std::get_if<ClearThinking>(&edit);
    if (thinking != nullptr && !thinking->keep_turns) continue;
    chat::Conversation edited = conversation;
    const std::size_t cleared =
        uses != nullptr ? clear_uses(*uses, edited) : clear_thoughts(edited, *thinking->keep_turns);
    if (cleared == 0) continue;
    if (uses != nullptr && uses->trigger == ClearToolUses::Trigger::kToolUses &&
        tool_uses(edited).size() <= uses->trigger_above) {
      continue;
    }
    if (!tokens) {
      KVASIR_ASSIGN_OR_RETURN(tokens, count(conversation));
    }
    if (uses != nullptr && uses->trigger == ClearToolUses::Trigger::kInputTokens &&
        *tokens <= uses->trigger_above) {
      continue;
    }
    KVASIR_ASSIGN_OR_RETURN(const std::size_t left, count(edited));
    const std::size_t saved = *tokens - std::min(*tokens, left);
    // Some templates leave old thoughts out themselves: nothing of the prompt goes, but it was done as asked.
    if (uses != nullptr && (saved == 0 || saved < uses->clear_at_least)) continue;
    conversation = std::move(edited);
    tokens = left;
    applied.push_back(uses != nullptr
                          ? AppliedEdit{"clear_tool_uses_20250919", "cleared_tool_uses", cleared, saved}
                          : AppliedEdit{"clear_thinking_20251015", "cleared_thinking_turns", cleared, saved});
  }
  return applied;
}

json::object context_management_json(std::span<const AppliedEdit> edits) {
  json::array list;
  for (const AppliedEdit& edit : edits) {
    list.push_back(json::object{
        {"type", edit.type}, {edit.count, edit.cleared}, {"cleared_input_tokens", edit.cleared_tokens}});
  }
  return {{"applied_edits", std::move(list)}};
}

}  // namespace kvasir::api
