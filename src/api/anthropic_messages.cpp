#include "api/anthropic_messages.h"

#include <algorithm>
#include <limits>
#include <set>
#include <unordered_map>

#include "api/deferred_tools.h"
#include "api/fields.h"
#include "api/openai_fields.h"
#include "api/reasoning_options.h"
#include "api/response_format.h"
#include "chat/leading_system.h"

namespace kvasir::api {
namespace {

namespace json = boost::json;

// Differs between sessions and versions of the client, so that no two sessions would share a prefix.
constexpr std::string_view kAttribution = "x-anthropic-billing-header:";
constexpr std::size_t kStopStringsMax = 64;

std::string joined(std::string first, std::string_view between, const std::string& second) {
  if (first.empty() || second.empty()) return first + second;
  return first.append(between) + second;
}

// What a block that is not about tools or thoughts says in text.
std::string block_text(const Fields& block, const std::string& type);

// A string or a list of blocks, as text.
std::string content_text(const Fields& owner, std::string_view key, std::string_view between) {
  const json::value* content = owner.find(key);
  if (content == nullptr) return {};
  if (content->is_string()) return to_string(*content);
  if (!content->is_array()) field_error(owner.path_of(key), "must be a string or a list of blocks");
  std::string text;
  const json::array& blocks = content->get_array();
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const Fields block(blocks[i], element_path(owner.path_of(key), i));
    text = joined(std::move(text), between, block_text(block, block.required_string("type")));
  }
  return text;
}

std::string document_text(const Fields& block) {
  std::string text = block.string("title").value_or("");
  if (const std::optional<Fields> source = block.fields("source")) {
    const std::string type = source->string("type").value_or("");
    if (type == "text") return joined(std::move(text), "\n", source->string("data").value_or(""));
    if (type == "content") return joined(std::move(text), "\n", content_text(*source, "content", "\n"));
  }
  return joined(std::move(text), "\n", "[document omitted: this model reads text only]");
}

std::string block_text(const Fields& block, const std::string& type) {
  if (type == "text") return block.required_string("text");
  if (type == "image") return "[image omitted: this model reads text only]";
  if (type == "document") return document_text(block);
  if (type == "search_result") {
    return joined(block.string("title").value_or(""), "\n", content_text(block, "content", "\n"));
  }
  return {};  // redacted thoughts, server tools and their results, and what is not known yet
}

// System blocks without the attribution line.
std::string parse_system(const Fields& body) {
  const json::value* system = body.find("system");
  if (system == nullptr) return {};
  if (system->is_string()) return to_string(*system);
  if (!system->is_array()) field_error("system", "must be a string or a list of blocks");
  std::string text;
  const json::array& blocks = system->get_array();
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const Fields block(blocks[i], element_path("system", i));
    const std::string piece = block_text(block, block.required_string("type"));
    if (i == 0 && piece.rfind(kAttribution, 0) == 0) continue;
    text = joined(std::move(text), "\n\n", piece);
  }
  return text;
}

class MessagesParser {
 public:
  std::vector<chat::Message> parse(const Fields& body) {
    const json::array* list = body.array("messages");
    if (list == nullptr) field_error("messages", "is required: a list of at least one message");
    if (list->empty()) field_error("messages", "must hold at least one message");
    for (at_ = 0; at_ < list->size(); ++at_)
      parse_message(Fields((*list)[at_], element_path("messages", at_)));
    return std::move(messages_);
  }

 private:
  void parse_message(const Fields& message) {
    const std::string role = message.required_string("role");
    const json::value* content = message.find("content");
    if (content == nullptr || !(content->is_string() || content->is_array())) {
      field_error(message.path_of("content"), "must be a string or a list of blocks");
    }
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

  // Tool results become turns of their own, in order with the text around them.
  void parse_user(const Fields& message, const json::value& content) {
    if (content.is_string()) {
      add(chat::Role::kUser).content = to_string(content);
      return;
    }
    const json::array& blocks = content.get_array();
    bool open = false;  // the last turn is this message's own text
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      const Fields block(blocks[i], element_path(message.path_of("content"), i));
      const std::string type = block.required_string("type");
      if (type == "tool_result") {
        parse_result(block);
        open = false;
        continue;
      }
      const std::string text = block_text(block, type);
      if (text.empty()) continue;
      chat::Message& turn = open ? messages_.back() : add(chat::Role::kUser);
      turn.content = joined(std::move(turn.content), "\n", text);
      open = true;
    }
    if (blocks.empty()) add(chat::Role::kUser);
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
        turn.reasoning = joined(std::move(turn.reasoning), "\n", block.string("thinking").value_or(""));
      } else {
        turn.content = joined(std::move(turn.content), "\n", block_text(block, type));
      }
    }
  }

  chat::Message& add(chat::Role role) {
    messages_.emplace_back().role = role;
    messages_.back().client_index = at_;  // results, and a system prompt, are messages of their own here
    return messages_.back();
  }

  std::size_t at_ = 0;
  std::vector<chat::Message> messages_;
  std::unordered_map<std::string, std::string> called_;  // id -> tool
};

// Deferred tools, unless they are in `loaded`, are not there yet.
std::vector<chat::Tool> parse_tools(const Fields& body, const std::set<std::string>& loaded) {
  std::vector<chat::Tool> tools;
  const json::array* list = body.array("tools");
  if (list == nullptr) return tools;
  for (std::size_t i = 0; i < list->size(); ++i) {
    const Fields tool((*list)[i], element_path("tools", i));
    if (tool.string("type").value_or("custom") != "custom") continue;  // runs on Anthropic's side
    chat::Tool parsed;
    parsed.name = tool.required_string("name");
    if (parsed.name.empty()) field_error(tool.path_of("name"), "must not be empty");
    parsed.client_index = i;
    parsed.deferred = tool.boolean("defer_loading").value_or(false);
    if (parsed.deferred && !loaded.contains(parsed.name)) continue;
    parsed.description = tool.string("description").value_or("");
    if (const json::object* schema = tool.object("input_schema")) parsed.parameters = *schema;
    tools.push_back(std::move(parsed));
  }
  return tools;
}

void parse_tool_choice(const Fields& body, chat::Conversation& conversation) {
  using Kind = chat::ToolChoice::Kind;
  const std::optional<Fields> choice = body.fields("tool_choice");
  if (!choice) return;
  conversation.parallel_tool_calls = !choice->boolean("disable_parallel_tool_use").value_or(false);
  const std::string type = choice->required_string("type");
  if (type == "auto") return;
  if (type == "none") {
    conversation.tool_choice.kind = Kind::kNone;
  } else if (type == "any") {
    // Where only server tools are declared there is nothing left that could be forced.
    if (!conversation.tools.empty()) conversation.tool_choice.kind = Kind::kRequired;
  } else if (type == "tool") {
    const std::string name = choice->required_string("name");
    const auto& tools = conversation.tools;
    const bool declared =
        std::any_of(tools.begin(), tools.end(), [&](const auto& tool) { return tool.name == name; });
    if (!declared) field_error(choice->path_of("name"), "\"" + name + "\" is not declared in tools");
    conversation.tool_choice = {Kind::kNamed, name};
  } else {
    field_error(choice->path_of("type"), "\"" + type + "\" is not one of auto, any, tool, none");
  }
}

GenerationOptions parse_options(const Fields& body, bool needs_max_tokens) {
  GenerationOptions options;
  options.model = body.string("model").value_or("");
  const auto set = [&body](std::string_view key, float& to) {
    if (const std::optional<double> value = body.number(key, 0, 1)) to = static_cast<float>(*value);
  };
  set("temperature", options.sampling.temperature);
  set("top_p", options.sampling.top_p);
  options.temperature_given = body.find("temperature") != nullptr;
  options.top_p_given = body.find("top_p") != nullptr;
  constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
  options.sampling.top_k = static_cast<std::int32_t>(body.integer("top_k", 0, kMost).value_or(0));
  options.stop = parse_stop(body, "stop_sequences", kStopStringsMax);
  options.use_cache = body.boolean("cache_prompt").value_or(true);
  options.explain_cache = body.boolean("explain_cache").value_or(false);
  options.cache_salt = body.string("cache_salt").value_or("");
  options.cache_family = body.string("prompt_cache_key").value_or("");
  if (const std::optional<Fields> metadata = body.fields("metadata"))
    options.user_id = metadata->string("user_id").value_or("");
  options.stream = body.boolean("stream").value_or(false);
  if (const auto tokens = body.integer("max_tokens", 1, kMost)) {
    options.max_tokens = static_cast<std::uint32_t>(*tokens);
  } else if (needs_max_tokens) {
    field_error("max_tokens", "is required and must be a whole number");
  }
  return options;
}

Result<ChatRequest> parse(std::string_view body, bool needs_max_tokens) {
  KVASIR_ASSIGN_OR_RETURN(json::value value, parse_body(body));
  try {
    const std::set<std::string> loaded = load_deferred_tools(value);
    const Fields fields(value, "");
    ChatRequest request;
    request.options = parse_options(fields, needs_max_tokens);
    chat::Conversation& conversation = request.conversation;
    std::string system = parse_system(fields);
    conversation.messages = MessagesParser().parse(fields);
    chat::lead_with_system_turns(conversation.messages);
    if (!system.empty()) {
      chat::Message turn;
      turn.role = chat::Role::kSystem;
      turn.content = std::move(system);
      conversation.messages.insert(conversation.messages.begin(), std::move(turn));
    }
    conversation.tools = parse_tools(fields, loaded);
    parse_tool_choice(fields, conversation);
    parse_anthropic_thinking(fields, request);
    conversation.response_format = parse_anthropic_format(fields);
    return request;
  } catch (const FieldError& error) {
    return error.error();
  }
}

}  // namespace

Result<ChatRequest> parse_anthropic_messages(std::string_view body) {
  return parse(body, true);
}

Result<ChatRequest> parse_anthropic_count_tokens(std::string_view body) {
  return parse(body, false);
}

std::string anthropic_count_body(std::size_t input_tokens) {
  return json::serialize(json::object{{"input_tokens", input_tokens}});
}

}  // namespace kvasir::api
