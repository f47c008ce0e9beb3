#pragma once
// Neutral conversation types: what every API format is parsed into and every answer is made from. No wire
// format here.

#include <array>
#include <boost/json.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace kvasir::chat {

enum class Role { kSystem, kUser, kAssistant, kTool };

struct ToolCall {
  std::string id;
  std::string name;
  std::string arguments;  // JSON text of one object, as the client or the model wrote it
};

struct Message {
  Role role = Role::kUser;
  std::string content;    // text parts joined
  std::string reasoning;  // assistant: the thought before the content, where the client sent it back
  std::vector<ToolCall> tool_calls;  // assistant only
  std::string tool_call_id;          // tool only
  std::string name;                  // tool: the function's name, where known
  bool is_error = false;             // tool: the call failed
  // system: a turn of the conversation rather than a part of the prompt's head, wherever it stands.
  bool in_conversation = false;
  // Where the client's own list has it, if not at the same index as this one.
  std::optional<std::size_t> client_index;
};

struct Tool {
  std::string name;
  std::string description;
  boost::json::value parameters;  // JSON Schema, key order as the client sent it
  // Not declared at the prompt's head: a message of the conversation describes it.
  bool deferred = false;
  // A later turn took it away: it stays where the prompt has it, so that the prompt still begins as before,
  // but it cannot be called.
  bool withdrawn = false;
  // Where the client's own list has it, if not at the same index as this one.
  std::optional<std::size_t> client_index = {};
};

struct ToolChoice {
  enum class Kind { kAuto, kNone, kRequired, kNamed };
  Kind kind = Kind::kAuto;
  std::string name = {};  // kNamed
  std::optional<std::vector<std::string>> allowed =
      {};  // kAuto, kRequired: of the tools, those that may be called
};

// What the answer's text must be, beside tool calls.
struct ResponseFormat {
  enum class Kind { kText, kJsonObject, kJsonSchema, kGrammar };
  Kind kind = Kind::kText;
  boost::json::value schema = {};  // kJsonSchema
  bool strict = false;       // kJsonSchema: a keyword that cannot be held to is an error; else it is left out
  std::string grammar = {};  // kGrammar: in llguidance's Lark dialect, with a rule `start`
  std::string field = "response_format";  // where the request has it
};

// How much to think before the answer. What is not said is the template's and the model's own business.
enum class Effort { kNone, kMinimal, kLow, kMedium, kHigh, kXhigh, kMax };
// In that order: clients' words, and templates' own.
inline constexpr std::array<std::string_view, 7> kEffortWords = {"none", "minimal", "low", "medium",
                                                                 "high", "xhigh",   "max"};
struct ThinkingWish {
  std::optional<bool> enabled;
  std::optional<Effort> effort;
  std::optional<std::uint32_t> max_tokens;  // between the tags of a thought; 0 closes it at once
};

struct Conversation {
  std::vector<Message> messages;
  // The last message is the beginning of the answer, not a turn of its own: the model goes on from its text.
  bool continues_answer = false;
  std::vector<Tool> tools;
  ToolChoice tool_choice;
  bool parallel_tool_calls = true;
  ResponseFormat response_format;
  ThinkingWish thinking;
  boost::json::object template_options;  // chat_template_kwargs
};

// What the output parser makes of generated text. Arguments fragments join to one valid JSON object.
struct TextDelta {
  std::string text;
};
struct ReasoningDelta {
  std::string text;
};
struct ToolCallBegin {
  std::size_t index = 0;
  std::string id;
  std::string name;
};
struct ToolCallArguments {
  std::size_t index = 0;
  std::string fragment;
};
struct ToolCallEnd {
  std::size_t index = 0;
};
using OutputEvent = std::variant<TextDelta, ReasoningDelta, ToolCallBegin, ToolCallArguments, ToolCallEnd>;

}  // namespace kvasir::chat
