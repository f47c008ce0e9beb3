#include "api/anthropic_conversation.h"

#include <algorithm>
#include <unordered_map>

#include "api/anthropic_blocks.h"

namespace kvasir::api {
namespace {

namespace json = boost::json;

// Differs between sessions and versions of the client, so that no two sessions would share a prefix.
constexpr std::string_view kAttribution = "x-anthropic-billing-header:";

// System blocks without the attribution line.
std::string parse_system(const Fields& body, std::vector<CacheBreakpoint>& breakpoints) {
  const json::value* system = body.find("system");
  if (system == nullptr) return {};
  if (system->is_string()) return to_string(*system);
  if (!system->is_array()) field_error("system", "must be a string or a list of blocks");
  std::string text;
  const json::array& blocks = system->get_array();
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const Fields block(blocks[i], element_path("system", i));
    (void)block.required_string("type");
    note_breakpoint(block, std::nullopt, breakpoints);
    const std::string piece = block_text(block);
    if (i == 0 && piece.rfind(kAttribution, 0) == 0) continue;
    text = joined(std::move(text), "\n\n", piece);
  }
  return text;
}

class MessagesParser {
 public:
  MessagesParser(ParsedMessages& to, const ThoughtSigner& signer) : to_(to), signer_(signer) {}

  void parse(const Fields& body) {
    const json::array* list = body.array("messages");
    if (list == nullptr) field_error("messages", "is required: a list of at least one message");
    if (list->empty()) field_error("messages", "must hold at least one message");
    std::size_t answered = 0;  // messages up to the last that the model has answered
    for (std::size_t i = 0; i < list->size(); ++i) {
      const Fields message((*list)[i], element_path("messages", i));
      if (message.required_string("role") == "assistant") answered = i + 1;
    }
    for (at_ = 0; at_ < list->size(); ++at_) {
      is_new_ = at_ >= answered;
      parse_message(Fields((*list)[at_], element_path("messages", at_)));
    }
    to_.count = list->size();
  }

 private:
  void parse_message(const Fields& message) {
    const std::string role = message.required_string("role");
    const json::value* content = message.find("content");
    if (content == nullptr || !(content->is_string() || content->is_array())) {
      field_error(message.path_of("content"), "must be a string or a list of blocks");
    }
    if (content->is_array()) note_breakpoints(message.path_of("content"), content->get_array());
    if (role == "system") {
      add(chat::Role::kSystem).content = content_text(message, "content", "\n");
    } else if (role == "user") {
      parse_user(message, *content);
    } else if (role == "assistant") {
      parse_assistant(message, *content);
    } else {
      field_error(message.path_of("role"), "\"" + role + "\" is not one of user, assistant, system");
    }
  }

  void note_breakpoints(const std::string& path, const json::array& blocks) {
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      const Fields block(blocks[i], element_path(path, i));
      note_breakpoint(block, at_, to_.breakpoints);
      const json::value* inner = block.find("content");
      if (inner != nullptr && inner->is_array())
        note_breakpoints(block.path_of("content"), inner->get_array());
    }
  }

  // Tool results become turns of their own, in order with the text around them.
  void parse_user(const Fields& message, const json::value& content) {
    if (content.is_string()) {
      add(chat::Role::kUser).content = to_string(content);
      return;
    }
    const json::array& blocks = content.get_array();
    const std::size_t before = to_.messages.size();
    bool open = false;     // the last turn is this message's own text
    bool results = false;  // the message holds some, so that its images may be the tools'
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      const Fields block(blocks[i], element_path(message.path_of("content"), i));
      results |= block.required_string("type") == "tool_result";
    }
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      const Fields block(blocks[i], element_path(message.path_of("content"), i));
      const std::string type = block.required_string("type");
      if (type == "tool_result") {
        parse_result(block);
        open = false;
        continue;
      }
      if (type == "image" && is_new_ && !results) refuse_image(block);
      const std::string text = block_text(block);
      if (text.empty()) continue;
      chat::Message& turn = open ? to_.messages.back() : add(chat::Role::kUser);
      turn.content = joined(std::move(turn.content), "\n", text);
      open = true;
    }
    // A message that says nothing is a turn all the same: the list of turns is never empty.
    if (to_.messages.size() == before) add(chat::Role::kUser);
  }

  void parse_result(const Fields& block) {
    const std::string id = block.required_string("tool_use_id");
    chat::Message& turn = add(chat::Role::kTool);
    turn.tool_call_id = id;
    turn.content = content_text(block, "content", "\n");
    turn.is_error = block.boolean("is_error").value_or(false);
    const auto known = called_.find(id);
    if (known != called_.end()) turn.name = known->second;
  }

  void parse_assistant(const Fields& message, const json::value& content) {
    chat::Message& turn = add(chat::Role::kAssistant);
    if (content.is_string()) {
      turn.content = to_string(content);
      return;
    }
    const json::array& blocks = content.get_array();
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      const Fields block(blocks[i], element_path(message.path_of("content"), i));
      const std::string type = block.required_string("type");
      if (type == "tool_use") {
        chat::ToolCall call{block.required_string("id"), block.required_string("name"), "{}"};
        if (const json::object* input = block.object("input")) call.arguments = json::serialize(*input);
        called_[call.id] = call.name;
        turn.tool_calls.push_back(std::move(call));
      } else if (type == "thinking") {
        parse_thought(block, i, turn);
      } else {
        turn.content = joined(std::move(turn.content), "\n", block_text(block));
      }
    }
  }

  void parse_thought(const Fields& block, std::size_t index, chat::Message& turn) {
    const std::string shown = block.string("thinking").value_or("");
    const auto thought = signer_.verified(shown, block.string("signature").value_or(""));
    if (thought) {
      turn.reasoning = joined(std::move(turn.reasoning), "\n", *thought);
    } else {
      to_.foreign_thoughts.push_back("messages." + std::to_string(at_) + ".content." + std::to_string(index));
    }
  }

  chat::Message& add(chat::Role role) {
    to_.messages.emplace_back().role = role;
    to_.messages.back().client_index = at_;  // results, and a system prompt, are messages of their own here
    return to_.messages.back();
  }

  ParsedMessages& to_;
  const ThoughtSigner& signer_;
  std::size_t at_ = 0;
  bool is_new_ = false;                                  // nothing the model has answered yet
  std::unordered_map<std::string, std::string> called_;  // id -> tool
};

}  // namespace

ParsedMessages parse_anthropic_conversation(const Fields& body, const ThoughtSigner& signer) {
  ParsedMessages parsed;
  std::string system = parse_system(body, parsed.breakpoints);
  if (!system.empty()) parsed.messages.emplace_back().role = chat::Role::kSystem;
  if (!system.empty()) parsed.messages.back().content = std::move(system);
  MessagesParser(parsed, signer).parse(body);
  // On the request itself it stands for one on the last block.
  note_breakpoint(body, parsed.count - 1, parsed.breakpoints);
  return parsed;
}

}  // namespace kvasir::api
