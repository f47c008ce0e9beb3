#include "api/anthropic_messages.h"

#include <limits>

#include "api/anthropic_conversation.h"
#include "api/anthropic_tools.h"
#include "api/deferred_tools.h"
#include "api/fields.h"
#include "api/openai_fields.h"
#include "api/reasoning_options.h"
#include "api/response_format.h"
#include "chat/leading_system.h"

namespace kvasir::api {
namespace {

namespace json = boost::json;

constexpr std::size_t kStopStringsMax = 64;

// A last message of the assistant's own words is not answered but gone on from.
bool is_begun_answer(const chat::Message& last) {
  return last.role == chat::Role::kAssistant && last.tool_calls.empty() && !last.content.empty();
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

void take_messages(ParsedMessages parsed, ChatRequest& request) {
  request.conversation.messages = std::move(parsed.messages);
  request.anthropic.message_count = parsed.count;
  request.anthropic.breakpoints.insert(request.anthropic.breakpoints.end(), parsed.breakpoints.begin(),
                                       parsed.breakpoints.end());
  request.anthropic.foreign_thoughts = std::move(parsed.foreign_thoughts);
  const auto& foreign = request.anthropic.foreign_thoughts;
  if (foreign.empty()) return;
  request.warnings.push_back(std::to_string(foreign.size()) + " thinking blocks are left out, the first " +
                             foreign.front() + ": not signed by this server");
}

void note_tool_breakpoints(const Fields& body, std::vector<CacheBreakpoint>& breakpoints) {
  const json::array* tools = body.array("tools");
  if (tools == nullptr) return;
  for (std::size_t i = 0; i < tools->size(); ++i)
    note_breakpoint(Fields((*tools)[i], element_path("tools", i)), std::nullopt, breakpoints);
}

// Features of the API that change what an answer is, and are not here: said, never an error.
void warn_of_features(const Fields& body, std::vector<std::string>& warnings) {
  for (const char* key : {"compaction", "container", "fallbacks", "mcp_servers", "thread"}) {
    const json::value* value = body.find(key);
    if (value == nullptr || (value->is_array() && value->get_array().empty())) continue;
    warnings.push_back(std::string(key) + ": is not done here");
  }
}

Result<ChatRequest> parse(std::string_view body, const ThoughtSigner& signer, const PdfReader& pdfs,
                          bool needs_max_tokens) {
  KVASIR_ASSIGN_OR_RETURN(json::value value, parse_body(body));
  try {
    const ToolChanges changes = load_deferred_tools(value);
    const bool documents_known = read_anthropic_documents(value, pdfs);
    const Fields fields(value, "");
    ChatRequest request;
    request.awaits_documents = !documents_known;
    request.options = parse_options(fields, needs_max_tokens);
    request.anthropic.signer = signer;
    note_tool_breakpoints(fields, request.anthropic.breakpoints);
    take_messages(parse_anthropic_conversation(fields, signer), request);
    request.conversation.continues_answer = is_begun_answer(request.conversation.messages.back());
    chat::lead_with_system_turns(request.conversation.messages);
    parse_anthropic_tools(fields, changes, request.conversation, request.warnings);
    parse_anthropic_thinking(fields, request);
    const std::optional<Fields> thinking = fields.fields("thinking");
    request.anthropic.tells_transformations = thinking && thinking->find("block_binding") != nullptr;
    request.conversation.response_format = parse_anthropic_format(fields);
    request.anthropic.edits = parse_context_management(fields, request.warnings);
    request.anthropic.diagnostics = parse_diagnostics(fields);
    warn_of_features(fields, request.warnings);
    return request;
  } catch (const FieldError& error) {
    return error.error();
  }
}

}  // namespace

Result<ChatRequest> parse_anthropic_messages(std::string_view body, const ThoughtSigner& signer,
                                             const PdfReader& pdfs) {
  return parse(body, signer, pdfs, true);
}

Result<ChatRequest> parse_anthropic_count_tokens(std::string_view body, const ThoughtSigner& signer,
                                                 const PdfReader& pdfs) {
  return parse(body, signer, pdfs, false);
}

std::string anthropic_count_body(std::size_t input_tokens, std::optional<std::size_t> original_tokens) {
  json::object body{{"input_tokens", input_tokens}};
  if (original_tokens) body["context_management"] = json::object{{"original_input_tokens", *original_tokens}};
  return json::serialize(body);
}

}  // namespace kvasir::api
