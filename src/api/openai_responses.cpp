#include "api/openai_responses.h"

#include <limits>

#include "api/fields.h"
#include "api/openai_fields.h"
#include "api/openai_responses_items.h"
#include "api/openai_tools.h"
#include "api/reasoning_options.h"
#include "api/response_format.h"

namespace kvasir::api {
namespace {

namespace json = boost::json;

json::array own_items(const Fields& body) {
  const json::value* input = body.find("input");
  if (input == nullptr) field_error("input", "is required: a string or a list of items");
  if (input->is_string()) {
    return {json::object{{"type", "message"}, {"role", "user"}, {"content", *input}}};
  }
  if (!input->is_array()) field_error("input", "must be a string or a list of items");
  return input->get_array();
}

void refuse_unsupported(const Fields& body) {
  if (body.boolean("background").value_or(false))
    field_error("background", "is not supported: nothing answers in the background here; stream instead");
  for (const char* key : {"conversation", "prompt"}) {
    if (body.find(key) != nullptr)
      field_error(
          key, "is kept on OpenAI's side; send `input`, with previous_response_id where turns went before");
  }
}

// Every response object repeats what it was asked for.
json::object echo_of(const Fields& body, const std::string& previous) {
  json::object echo{{"instructions", nullptr},
                    {"max_output_tokens", nullptr},
                    {"metadata", json::object()},
                    {"parallel_tool_calls", true},
                    {"reasoning", json::object{{"effort", nullptr}, {"summary", nullptr}}},
                    {"temperature", nullptr},
                    {"text", json::object{{"format", json::object{{"type", "text"}}}}},
                    {"tool_choice", "auto"},
                    {"tools", json::array()},
                    {"top_logprobs", 0},
                    {"top_p", nullptr},
                    {"truncation", "disabled"},
                    {"user", nullptr},
                    {"prompt_cache_key", nullptr},
                    {"safety_identifier", nullptr}};
  for (auto& field : echo) {
    if (const json::value* given = body.find(field.key())) field.value() = *given;
  }
  echo["previous_response_id"] = previous.empty() ? json::value(nullptr) : json::value(previous);
  return echo;
}

bool includes(const Fields& body, std::string_view what) {
  const json::array* list = body.array("include");
  if (list == nullptr) return false;
  for (const json::value& one : *list) {
    if (one.is_string() && std::string_view(one.get_string()) == what) return true;
  }
  return false;
}

}  // namespace

Result<ResponsesRequest> parse_openai_responses(std::string_view body, const EarlierItems& earlier,
                                                const PdfReader& pdfs) {
  KVASIR_ASSIGN_OR_RETURN(json::value value, parse_body(body));
  try {
    const bool files_known = read_openai_files(value, pdfs);
    const Fields fields(value, "");
    refuse_unsupported(fields);
    ResponsesRequest request;
    request.chat.awaits_documents = !files_known;
    GenerationOptions& options = request.chat.options = parse_openai_options(fields);
    constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
    if (const auto tokens = fields.integer("max_output_tokens", 1, kMost))
      options.max_tokens = static_cast<std::uint32_t>(*tokens);
    const auto top = fields.integer("top_logprobs", 0, 20);
    if (includes(fields, "message.output_text.logprobs") || top.value_or(0) > 0)
      options.logprobs = static_cast<std::uint32_t>(top.value_or(0));
    options.n = 1;

    chat::Conversation& conversation = request.chat.conversation;
    if (const auto instructions = fields.string("instructions"); instructions && !instructions->empty()) {
      chat::Message& system = conversation.messages.emplace_back();
      system.role = chat::Role::kSystem;
      system.content = *instructions;
    }
    request.items = own_items(fields);
    const std::string previous = fields.string("previous_response_id").value_or("");
    json::array items;
    if (!previous.empty()) {
      std::optional<json::array> before = earlier(previous);
      if (!before) {
        return make_error(ErrorCode::kNotFound,
                          "previous_response_id: there is no response \"" + previous +
                              "\" here (any more); send the whole conversation in `input`",
                          "previous_response_id");
      }
      items = std::move(*before);
    }
    const std::size_t before = items.size();
    items.insert(items.end(), request.items.begin(), request.items.end());
    if (items.empty()) field_error("input", "must hold at least one item");
    append_items(items, before == 0 ? "input" : "input (after the earlier response's items)",
                 conversation.messages);
    OpenAiTools tools = parse_openai_tools(fields);
    conversation.tools = std::move(tools.tools);
    request.chat.tool_origins = std::move(tools.origins);
    conversation.tool_choice = parse_openai_tool_choice(fields, conversation.tools);
    conversation.parallel_tool_calls = fields.boolean("parallel_tool_calls").value_or(true);
    conversation.response_format = parse_answer_format(fields);
    parse_openai_reasoning(fields, request.chat);
    options.thoughts.as_reasoning = false;  // this API has `reasoning` for everybody
    request.store = fields.boolean("store").value_or(true);
    request.encrypted_thoughts = includes(fields, "reasoning.encrypted_content");
    request.echo = echo_of(fields, previous);
    return request;
  } catch (const FieldError& error) {
    return error.error();
  }
}

}  // namespace kvasir::api
