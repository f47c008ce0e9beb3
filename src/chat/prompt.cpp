#include "chat/prompt.h"

#include <utility>

#include "chat/history.h"
#include "chat/json_text.h"
#include "chat/markers.h"

namespace kvasir::chat {
namespace {

namespace json = boost::json;

std::string_view role_name(Role role) {
  switch (role) {
    case Role::kSystem:
      return "system";
    case Role::kUser:
      return "user";
    case Role::kAssistant:
      return "assistant";
    case Role::kTool:
      return "tool";
  }
  return "user";
}

json::value arguments_json(const ToolCall& call, const TemplateTraits& traits) {
  json::value object = arguments_object(call.arguments);
  // Where the model was cut off or wrote no JSON, templates that go through the object are shown none.
  if (!object.is_object()) object = json::object();
  return traits.arguments_as_text ? json::value(spaced_json(object)) : object;
}

json::object message_json(const Message& message, const TemplateTraits& traits) {
  json::object object{{"role", role_name(message.role)}, {"content", result_text(message)}};
  if (!message.reasoning.empty()) object[traits.thought_key] = message.reasoning;
  if (!message.tool_calls.empty()) {
    if (traits.null_content && message.content.empty()) object["content"] = nullptr;
    json::array calls;
    for (const ToolCall& call : message.tool_calls) {
      json::object function{{"name", call.name}, {"arguments", arguments_json(call, traits)}};
      calls.push_back(json::object{{"type", "function"}, {"id", call.id}, {"function", std::move(function)}});
    }
    object["tool_calls"] = std::move(calls);
  }
  if (!message.tool_call_id.empty()) object["tool_call_id"] = message.tool_call_id;
  if (!message.name.empty()) object["name"] = message.name;
  return object;
}

bool ends_with_open_thought(std::string_view prompt, const ReasoningFormat& reasoning) {
  if (!reasoning.known()) return false;
  const std::size_t last = prompt.find_last_not_of(" \t\r\n");
  if (last == std::string_view::npos) return false;
  const std::string_view trimmed = prompt.substr(0, last + 1);
  return trimmed.ends_with(trim(reasoning.open));
}

// The opener of a call that the template has written for the answer to go on from.
std::string open_call(std::string_view prompt, const ToolFormat& format) {
  const std::string_view opener = trim(format.call.open);
  return !opener.empty() && prompt.ends_with(opener) ? std::string(opener) : std::string();
}

}  // namespace

std::string_view begun_answer(const Conversation& conversation) {
  if (!conversation.continues_answer || conversation.messages.empty()) return {};
  const std::string_view text = conversation.messages.back().content;
  return text.substr(0, text.find_last_not_of(" \t\r\n") + 1);
}

Conversation without_begun(Conversation conversation) {
  if (!conversation.continues_answer) return conversation;
  conversation.messages.pop_back();
  conversation.continues_answer = false;
  conversation.thinking.enabled = false;
  return conversation;
}

json::object template_context(const Conversation& conversation, const TemplateTraits& traits) {
  json::object context = conversation.template_options;
  json::array list;
  for (const Message& message : fitted_messages(conversation, traits))
    list.push_back(message_json(message, traits));
  context["messages"] = std::move(list);
  if (traits.renders_tools && declares_tools(conversation)) {
    json::array tools;
    for (const Tool& tool : conversation.tools) {
      if (!tool.deferred) tools.push_back(tool_json(tool));
    }
    context["xml_tools"] = tools;  // SmolLM3's name for them
    context["tools"] = std::move(tools);
  }
  apply_thinking(conversation.thinking, traits.thinking, context);
  context["add_generation_prompt"] = true;
  return context;
}

PromptRenderer::PromptRenderer(std::shared_ptr<const text::ChatTemplate> chat_template,
                               std::shared_ptr<const text::Tokenizer> tokenizer,
                               std::int64_t now_unix_seconds, const ToolFormat* forced)
    : template_(std::move(chat_template)), tokenizer_(std::move(tokenizer)), now_(now_unix_seconds) {
  traits_ = probe_template([this](const json::object& context) { return render_context(context); },
                           template_->source(), forced);
  traits_.markers = find_markers(traits_.format, traits_.reasoning, *tokenizer_);
  joiner_ = TurnJoiner(probe_turns(renderer(), *tokenizer_), traits_.reasoning);
}

Result<std::string> PromptRenderer::render_context(const json::object& context) const {
  return template_->render(json::serialize(context), now_);
}

Result<std::string> PromptRenderer::render_text(const Conversation& conversation,
                                                bool add_generation_prompt) const {
  json::object context = template_context(conversation, traits_);
  const auto special = [this](TokenId id) {
    return id == kNoToken ? std::string() : std::string(tokenizer_->bytes(id));
  };
  context["add_generation_prompt"] = add_generation_prompt;
  context["bos_token"] = special(tokenizer_->bos());
  context["eos_token"] = special(tokenizer_->eos());
  return render_context(context);
}

RenderTurns PromptRenderer::renderer() const {
  return [this](const Conversation& conversation, bool add_generation_prompt) {
    return render_text(conversation, add_generation_prompt);
  };
}

std::vector<ReplayTurn> PromptRenderer::known_turns(const Conversation& conversation,
                                                    ReplaySource replay) const {
  std::vector<ReplayTurn> turns;
  if (replay.table == nullptr || !joiner_.boundaries().keeps_turns) return turns;
  ReplayContext before;
  for (std::size_t i = 0; i < conversation.messages.size(); ++i) {
    const Message& message = conversation.messages[i];
    if (message.role == Role::kAssistant) {
      auto entry = replay.table->find(replay_key(replay.cache_namespace, before, message));
      if (entry) turns.push_back({i, std::move(entry)});
    }
    before.add(message);
  }
  return turns;
}

std::vector<TokenId> PromptRenderer::next_prompt(Conversation conversation, Message turn,
                                                 ReplaySource replay) const {
  Message next;
  next.role = turn.tool_calls.empty() ? Role::kUser : Role::kTool;
  if (!turn.tool_calls.empty()) {
    next.tool_call_id = turn.tool_calls.front().id;
    next.name = turn.tool_calls.front().name;
  }
  conversation.messages.push_back(std::move(turn));
  conversation.messages.push_back(std::move(next));
  std::vector<TokenId> common;
  for (const char* content : {"a", "Z"}) {
    conversation.messages.back().content = content;
    auto prompt = render(conversation, replay);
    if (!prompt.ok()) return {};
    if (common.empty()) {
      common = std::move(prompt->tokens);
    } else {
      const auto end = std::ranges::mismatch(common, prompt->tokens).in1;
      common.erase(end, common.end());
    }
  }
  return common;
}

Result<RenderedPrompt> PromptRenderer::render(const Conversation& conversation, ReplaySource replay) const {
  if (!conversation.continues_answer) return render_opened(conversation, {}, replay);
  return render_opened(without_begun(conversation), std::string(begun_answer(conversation)), replay);
}

Result<RenderedPrompt> PromptRenderer::render_opened(const Conversation& conversation, std::string begun,
                                                     ReplaySource replay) const {
  RenderedPrompt prompt;
  KVASIR_ASSIGN_OR_RETURN(prompt.text, render_text(conversation, true));
  prompt.opens_reasoning = ends_with_open_thought(prompt.text, traits_.reasoning);
  prompt.closes_reasoning =
      traits_.reasoning.known() && trim(prompt.text).ends_with(trim(traits_.reasoning.close));
  prompt.opens_call = open_call(prompt.text, traits_.format);
  prompt.recordable = joiner_.ends_with_opening(prompt.text);
  auto cut = joiner_.cut(conversation, prompt.text, known_turns(conversation, replay), renderer());
  if (!begun.empty()) {
    if (prompt.opens_reasoning) begun.insert(0, traits_.reasoning.close);
    prompt.closes_reasoning |= prompt.opens_reasoning;
    prompt.opens_reasoning = false;
    prompt.opens_call.clear();
    prompt.recordable = false;  // the turn that comes back is not what is sampled for it
    prompt.text += begun;
    if (cut) cut->marked += begun;
    prompt.begun = std::move(begun);
  }
  if (cut) {
    const std::vector<std::string_view> pieces = cut->pieces();
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      const auto piece = tokenizer_->encode(pieces[i], text::SpecialText::kParse);
      prompt.tokens.insert(prompt.tokens.end(), piece.begin(), piece.end());
      if (i == cut->turns.size()) break;
      const std::vector<TokenId>& sampled = cut->turns[i].turn.entry->tokens;
      prompt.tokens.insert(prompt.tokens.end(), sampled.begin(), sampled.end());
      prompt.replayed_tokens += static_cast<std::uint32_t>(sampled.size());
      prompt.replayed.push_back(cut->turns[i].turn);
    }
  } else {
    prompt.tokens = tokenizer_->encode(prompt.text, text::SpecialText::kParse);
  }
  if (prompt.tokens.empty()) {
    return make_error(ErrorCode::kInvalidArgument, "the conversation renders to an empty prompt", "messages");
  }
  return prompt;
}

}  // namespace kvasir::chat
