#include "api/anthropic_diagnostics.h"

#include <algorithm>

#include "base/content_hash.h"
#include "chat/json_text.h"

namespace kvasir::api {
namespace {

namespace json = boost::json;

// Fields with their lengths, so that no two lists of fields give the same bytes.
class Digest {
 public:
  Digest& add(std::string_view field) {
    const std::string length = std::to_string(field.size()) + ":";
    hash_.update(length.data(), length.size());
    hash_.update(field.data(), field.size());
    return *this;
  }
  std::string hex() const { return hash_.hex(); }

 private:
  ContentHash hash_;
};

bool has_system(const chat::Conversation& conversation) {
  return !conversation.messages.empty() && conversation.messages.front().role == chat::Role::kSystem &&
         !conversation.messages.front().client_index;
}

// Of `count` messages behind the system prompt.
std::string messages_digest(const chat::Conversation& conversation, std::size_t count) {
  Digest digest;
  const std::size_t first = has_system(conversation) ? 1 : 0;
  for (std::size_t i = first; i < first + count; ++i) {
    const chat::Message& message = conversation.messages[i];
    digest.add(std::to_string(static_cast<int>(message.role)));
    digest.add(message.is_error ? "!" : ".");
    digest.add(message.content).add(message.reasoning).add(message.tool_call_id);
    for (const chat::ToolCall& call : message.tool_calls)
      digest.add(call.id).add(call.name).add(chat::canonical_arguments(call.arguments));
  }
  return digest.hex();
}

std::string tools_digest(const chat::Conversation& conversation) {
  Digest digest;
  for (const chat::Tool& tool : conversation.tools)
    digest.add(tool.name).add(tool.description).add(json::serialize(tool.parameters));
  return digest.hex();
}

std::string rest_digest(const chat::Conversation& conversation) {
  const chat::ThinkingWish& wish = conversation.thinking;
  Digest digest;
  digest.add(wish.enabled ? (*wish.enabled ? "on" : "off") : "");
  digest.add(wish.effort ? chat::kEffortWords[static_cast<std::size_t>(*wish.effort)] : "");
  digest.add(json::serialize(conversation.template_options));
  return digest.hex();
}

}  // namespace

std::optional<DiagnosticsWish> parse_diagnostics(const Fields& body) {
  const std::optional<Fields> diagnostics = body.fields("diagnostics");
  if (!diagnostics) return std::nullopt;
  return DiagnosticsWish{diagnostics->string("previous_message_id").value_or("")};
}

PromptRecord prompt_record(const chat::Conversation& conversation, const std::string& model,
                           const std::string& cache_namespace, std::uint32_t prompt_tokens) {
  PromptRecord record;
  record.cache_namespace = cache_namespace;
  record.model = model;
  const bool system = has_system(conversation);
  record.system = Digest().add(system ? conversation.messages.front().content : "").hex();
  record.tools = tools_digest(conversation);
  record.message_count = conversation.messages.size() - (system ? 1 : 0);
  record.messages = messages_digest(conversation, record.message_count);
  record.rest = rest_digest(conversation);
  record.prompt_tokens = prompt_tokens;
  return record;
}

std::optional<CacheMiss> cache_miss(const PromptRecord* before, const PromptRecord& now,
                                    const chat::Conversation& conversation) {
  if (before == nullptr || before->cache_namespace != now.cache_namespace)
    return CacheMiss{"previous_message_not_found"};
  const auto changed = [before](const char* type) { return CacheMiss{type, true, before->prompt_tokens}; };
  if (before->model != now.model) return changed("model_changed");
  if (before->system != now.system) return changed("system_changed");
  if (before->tools != now.tools) return changed("tools_changed");
  if (before->message_count > now.message_count ||
      before->messages != messages_digest(conversation, before->message_count)) {
    return changed("messages_changed");
  }
  if (before->rest != now.rest) return CacheMiss{"unavailable"};
  return std::nullopt;
}

json::value diagnostics_json(const std::optional<CacheMiss>& miss, std::uint32_t prompt_tokens,
                             std::uint32_t cached_tokens) {
  if (!miss) return nullptr;
  json::object reason{{"type", miss->type}};
  if (miss->by_change) {
    const std::uint32_t expected = std::min(miss->expected_tokens, prompt_tokens);
    // The same text may have been read in another conversation.
    if (cached_tokens >= expected || cached_tokens + 1 >= prompt_tokens) return nullptr;
    reason["cache_missed_input_tokens"] = expected - cached_tokens;
  }
  return json::object{{"cache_miss_reason", std::move(reason)}};
}

}  // namespace kvasir::api
