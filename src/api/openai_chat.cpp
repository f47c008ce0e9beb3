#include "api/openai_chat.h"

#include <algorithm>
#include <limits>
#include <unordered_map>

#include "api/fields.h"
#include "api/openai_fields.h"
#include "api/reasoning_options.h"
#include "api/response_format.h"

namespace kvasir::api {
namespace {

namespace json = boost::json;

chat::Role parse_role(const Fields& message) {
  const std::string role = message.required_string("role");
  if (role == "system" || role == "developer") return chat::Role::kSystem;
  if (role == "user") return chat::Role::kUser;
  if (role == "assistant") return chat::Role::kAssistant;
  if (role == "tool" || role == "function") return chat::Role::kTool;
  field_error(message.path_of("role"),
              "\"" + role + "\" is not one of system, developer, user, assistant, tool");
}

// Parts joined by line breaks, as the other servers of open models do it.
std::string parse_parts(const json::array& parts, const std::string& path) {
  std::string text;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const Fields part(parts[i], element_path(path, i));
    const std::string type = part.required_string("type");
    std::string piece;
    if (type == "text" || type == "input_text" || type == "output_text") {
      piece = part.required_string("text");
    } else if (type == "refusal") {
      piece = part.required_string("refusal");
    } else {
      field_error(part.path_of("type"), "\"" + type + "\" cannot be read: this model takes text only");
    }
    if (i > 0) text += "\n";
    text += piece;
  }
  return text;
}

std::string parse_content(const Fields& message, bool required) {
  const json::value* content = message.find("content");
  if (content == nullptr) {
    if (required) field_error(message.path_of("content"), "is required: a string or a list of parts");
    return {};
  }
  if (content->is_string()) return to_string(*content);
  if (content->is_array()) return parse_parts(content->get_array(), message.path_of("content"));
  field_error(message.path_of("content"), "must be a string or a list of parts");
}

std::vector<chat::ToolCall> parse_calls(const Fields& message) {
  std::vector<chat::ToolCall> calls;
  const json::array* list = message.array("tool_calls");
  if (list == nullptr) return calls;
  for (std::size_t i = 0; i < list->size(); ++i) {
    const Fields call((*list)[i], element_path(message.path_of("tool_calls"), i));
    const std::optional<Fields> function = call.fields("function");
    if (!function) field_error(call.path_of("function"), "is required and must be an object");
    chat::ToolCall parsed{call.string("id").value_or(""), function->required_string("name"), {}};
    // A JSON string by the book; some clients send the object itself.
    if (const json::value* arguments = function->find("arguments")) {
      if (!arguments->is_string() && !arguments->is_object()) {
        field_error(function->path_of("arguments"), "must be a string that holds a JSON object");
      }
      parsed.arguments = arguments->is_string() ? to_string(*arguments) : json::serialize(*arguments);
    }
    calls.push_back(std::move(parsed));
  }
  return calls;
}

// Under either of the names that servers give it; some clients keep richer things there, which are left out.
std::string parse_reasoning(const Fields& message) {
  for (const char* key : {"reasoning_content", "reasoning"}) {
    const json::value* thought = message.find(key);
    if (thought != nullptr && thought->is_string()) return to_string(*thought);
  }
  return {};
}

std::vector<chat::Message> parse_messages(const Fields& body) {
  const json::array* list = body.array("messages");
  if (list == nullptr) field_error("messages", "is required: a list of at least one message");
  if (list->empty()) field_error("messages", "must hold at least one message");
  std::vector<chat::Message> messages;
  std::unordered_map<std::string, std::string> called;  // id -> function
  for (std::size_t i = 0; i < list->size(); ++i) {
    const Fields fields((*list)[i], element_path("messages", i));
    chat::Message message;
    message.role = parse_role(fields);
    const bool assistant = message.role == chat::Role::kAssistant;
    if (assistant) {
      message.tool_calls = parse_calls(fields);
      message.reasoning = parse_reasoning(fields);
      for (const chat::ToolCall& call : message.tool_calls) called[call.id] = call.name;
    }
    message.content =
        parse_content(fields, message.role == chat::Role::kUser || message.role == chat::Role::kSystem);
    if (message.role == chat::Role::kTool) {
      message.tool_call_id = fields.string("tool_call_id").value_or("");
      const auto known = called.find(message.tool_call_id);
      message.name = fields.string("name").value_or(known == called.end() ? "" : known->second);
    }
    messages.push_back(std::move(message));
  }
  return messages;
}

std::vector<chat::Tool> parse_tools(const Fields& body) {
  std::vector<chat::Tool> tools;
  const json::array* list = body.array("tools");
  if (list == nullptr) return tools;
  for (std::size_t i = 0; i < list->size(); ++i) {
    const Fields tool((*list)[i], element_path("tools", i));
    const std::string type = tool.string("type").value_or("function");
    if (type != "function") continue;  // runs on OpenAI's side; nothing here could
    const std::optional<Fields> function = tool.fields("function");
    if (!function) field_error(tool.path_of("function"), "is required and must be an object");
    chat::Tool parsed;
    parsed.name = function->required_string("name");
    if (parsed.name.empty()) field_error(function->path_of("name"), "must not be empty");
    parsed.description = function->string("description").value_or("");
    if (const json::object* parameters = function->object("parameters")) parsed.parameters = *parameters;
    tools.push_back(std::move(parsed));
  }
  return tools;
}

// {"type": "allowed_tools", "allowed_tools": {"mode": "auto" or "required", "tools": [{"type": "function",
// ...}]}}; the Responses API has no inner object.
chat::ToolChoice parse_allowed_tools(const Fields& choice, const std::vector<chat::Tool>& tools) {
  using Kind = chat::ToolChoice::Kind;
  const std::optional<Fields> inner = choice.fields("allowed_tools");
  const Fields& allowed = inner ? *inner : choice;
  const std::string mode = allowed.string("mode").value_or("auto");
  if (mode != "auto" && mode != "required") {
    field_error(allowed.path_of("mode"), "\"" + mode + "\" is not one of auto, required");
  }
  const json::array* list = allowed.array("tools");
  if (list == nullptr) field_error(allowed.path_of("tools"), "is required: a list of functions");
  std::vector<std::string> names;
  for (std::size_t i = 0; i < list->size(); ++i) {
    const Fields tool((*list)[i], element_path(allowed.path_of("tools"), i));
    if (tool.string("type").value_or("function") != "function") continue;
    const std::optional<Fields> function = tool.fields("function");
    const Fields& named = function ? *function : tool;
    std::string name = named.required_string("name");
    const bool declared = std::ranges::find(tools, name, &chat::Tool::name) != tools.end();
    if (!declared) field_error(named.path_of("name"), "\"" + name + "\" is not declared in tools");
    names.push_back(std::move(name));
  }
  if (mode == "required" && names.empty()) {
    field_error(allowed.path_of("tools"), "\"required\" needs at least one function");
  }
  return {mode == "required" ? Kind::kRequired : Kind::kAuto, {}, std::move(names)};
}

chat::ToolChoice parse_tool_choice(const Fields& body, const std::vector<chat::Tool>& tools) {
  using Kind = chat::ToolChoice::Kind;
  const json::value* value = body.find("tool_choice");
  if (value == nullptr) return {};
  // {"type": "auto"} is not in the book, but is sent.
  const json::value* type = value->is_object() ? value->get_object().if_contains("type") : value;
  const bool by_word = type != nullptr && type->is_string() && type->get_string() != "function";
  if (by_word) {
    const std::string choice = to_string(*type);
    if (choice == "auto") return {};
    if (choice == "none") return {Kind::kNone};
    if (choice == "allowed_tools" && value->is_object()) {
      return parse_allowed_tools(Fields(*value, "tool_choice"), tools);
    }
    if (choice == "required") {
      if (tools.empty()) field_error("tool_choice", "\"required\" needs at least one function in tools");
      return {Kind::kRequired};
    }
    field_error("tool_choice", "\"" + choice + "\" is not one of none, auto, required");
  }
  if (!value->is_object()) field_error("tool_choice", "must be a string or an object that names a function");
  const Fields choice(*value, "tool_choice");
  const std::optional<Fields> function = choice.fields("function");
  const std::string name = function ? function->required_string("name") : choice.required_string("name");
  const bool declared =
      std::any_of(tools.begin(), tools.end(), [&](const auto& tool) { return tool.name == name; });
  if (!declared) field_error("tool_choice", "\"" + name + "\" is not declared in tools");
  return {Kind::kNamed, name};
}

void parse_limits(const Fields& body, GenerationOptions& options) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
  for (const char* key : {"max_tokens", "max_completion_tokens"}) {
    if (const auto tokens = body.integer(key, 1, kMost))
      options.max_tokens = static_cast<std::uint32_t>(*tokens);
  }
  const auto top = body.integer("top_logprobs", 0, 20);
  if (body.boolean("logprobs").value_or(false)) {
    options.logprobs = static_cast<std::uint32_t>(top.value_or(0));
  } else if (top.value_or(0) > 0) {
    field_error("top_logprobs", "needs \"logprobs\": true");
  }
}

}  // namespace

Result<ChatRequest> parse_openai_chat(std::string_view body) {
  KVASIR_ASSIGN_OR_RETURN(const json::value value, parse_body(body));
  try {
    const Fields fields(value, "");
    ChatRequest request;
    request.options = parse_openai_options(fields);
    parse_limits(fields, request.options);
    chat::Conversation& conversation = request.conversation;
    conversation.messages = parse_messages(fields);
    conversation.tools = parse_tools(fields);
    conversation.tool_choice = parse_tool_choice(fields, conversation.tools);
    conversation.parallel_tool_calls = fields.boolean("parallel_tool_calls").value_or(true);
    conversation.response_format = parse_answer_format(fields);
    parse_openai_reasoning(fields, request);
    return request;
  } catch (const FieldError& error) {
    return error.error();
  }
}

}  // namespace kvasir::api
