#include "api/openai_chat.h"

#include <algorithm>
#include <limits>
#include <unordered_map>

#include "api/fields.h"
#include "api/openai_fields.h"
#include "api/openai_tools.h"
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

std::vector<chat::ToolCall> parse_calls(const Fields& message) {
  std::vector<chat::ToolCall> calls;
  const json::array* list = message.array("tool_calls");
  if (list == nullptr) return calls;
  for (std::size_t i = 0; i < list->size(); ++i) {
    const Fields call((*list)[i], element_path(message.path_of("tool_calls"), i));
    const std::optional<Fields> custom = call.fields("custom");
    if (custom) {
      json::object input{{kCustomInput, custom->string("input").value_or("")}};
      calls.push_back(
          {call.string("id").value_or(""), custom->required_string("name"), json::serialize(input)});
      continue;
    }
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
    message.content = parse_openai_content(
        fields, "content", message.role == chat::Role::kUser || message.role == chat::Role::kSystem);
    if (message.role == chat::Role::kTool) {
      message.tool_call_id = fields.string("tool_call_id").value_or("");
      const auto known = called.find(message.tool_call_id);
      message.name = fields.string("name").value_or(known == called.end() ? "" : known->second);
    }
    messages.push_back(std::move(message));
  }
  return messages;
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

// vLLM's option; its companion is accepted where it does not contradict.
bool parse_continues_answer(const Fields& body, const chat::Message& last) {
  const bool continues = body.boolean("continue_final_message").value_or(false);
  if (continues && body.boolean("add_generation_prompt").value_or(false)) {
    field_error("continue_final_message", "and add_generation_prompt cannot both be true");
  }
  if (continues &&
      (last.role != chat::Role::kAssistant || last.content.empty() || !last.tool_calls.empty())) {
    field_error("continue_final_message",
                "needs a last message of the assistant with text and without tool_calls");
  }
  return continues;
}

}  // namespace

Result<ChatRequest> parse_openai_chat(std::string_view body, const PdfReader& pdfs) {
  KVASIR_ASSIGN_OR_RETURN(json::value value, parse_body(body));
  try {
    const bool files_known = read_openai_files(value, pdfs);
    const Fields fields(value, "");
    ChatRequest request;
    request.awaits_documents = !files_known;
    request.options = parse_openai_options(fields);
    parse_limits(fields, request.options);
    chat::Conversation& conversation = request.conversation;
    conversation.messages = parse_messages(fields);
    conversation.continues_answer = parse_continues_answer(fields, conversation.messages.back());
    OpenAiTools tools = parse_openai_tools(fields);
    conversation.tools = std::move(tools.tools);
    request.tool_origins = std::move(tools.origins);
    conversation.tool_choice = parse_openai_tool_choice(fields, conversation.tools);
    conversation.parallel_tool_calls = fields.boolean("parallel_tool_calls").value_or(true);
    conversation.response_format = parse_answer_format(fields);
    parse_openai_reasoning(fields, request);
    return request;
  } catch (const FieldError& error) {
    return error.error();
  }
}

}  // namespace kvasir::api
