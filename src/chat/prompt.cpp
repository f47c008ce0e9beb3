#include "chat/prompt.h"

#include <utility>

#include "chat/json_text.h"

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

json::object tool_json(const Tool& tool) {
  json::object function{{"name", tool.name}};
  if (!tool.description.empty()) function["description"] = tool.description;
  json::value parameters =
      tool.parameters.is_object()
          ? tool.parameters
          : json::value(json::object{{"type", "object"}, {"properties", json::object()}});
  normalise_numbers(parameters);
  function["parameters"] = std::move(parameters);
  return {{"type", "function"}, {"function", std::move(function)}};
}

std::string joined(const std::string& first, const std::string& second) {
  return first.empty() || second.empty() ? first + second : first + "\n\n" + second;
}

std::string reminder(const std::string& text) {
  return "<system-reminder>\n" + text + "\n</system-reminder>";
}

// A failed call's result says so even where the template has no place for it.
std::string result_text(const Message& message) {
  if (!message.is_error) return message.content;
  const bool says_so = message.content.rfind("Error", 0) == 0 || message.content.rfind('<', 0) == 0;
  return says_so ? message.content : "Error: " + message.content;
}

// What the system turn says of the tools where the template says nothing.
std::string tools_description(const Conversation& conversation, const ToolFormat& format) {
  std::string text =
      "# Tools\n\nYou can call functions. Their signatures, one JSON object a line:\n<tools>\n";
  for (const Tool& tool : conversation.tools) text += json::serialize(tool_json(tool)) + "\n";
  text +=
      "</tools>\n\nTo call a function, answer with a JSON object that holds its name and arguments, inside " +
      format.open + " tags:\n";
  text += format.open + format.lead + "{\"" + format.name_key + "\": <function name>, \"" +
          format.arguments_keys.front() + "\": <arguments object>}" + format.trail + format.close;
  return text;
}

Message turn(Role role, std::string content) {
  Message message;
  message.role = role;
  message.content = std::move(content);
  return message;
}

// System turns where the template takes them: see TemplateTraits.
std::vector<Message> place_system_turns(const Conversation& conversation, const TemplateTraits& traits) {
  std::vector<Message> placed;
  const std::vector<Message>& messages = conversation.messages;
  std::size_t next = 0;
  if (!traits.renders_mid_system || !traits.renders_system) {
    // One leading system turn at most.
    Message system = turn(Role::kSystem, {});
    for (; next < messages.size() && messages[next].role == Role::kSystem; ++next) {
      system.content = joined(system.content, messages[next].content);
    }
    if (next > 0) placed.push_back(std::move(system));
  }
  std::string pending;  // reminders for the following user turn
  for (; next < messages.size(); ++next) {
    Message message = messages[next];
    if (message.role == Role::kSystem && !placed.empty() && !traits.renders_mid_system) {
      pending = joined(pending, reminder(message.content));
      continue;
    }
    if (!pending.empty() && message.role == Role::kUser) {
      message.content = joined(std::exchange(pending, {}), message.content);
    } else if (!pending.empty() && message.role == Role::kAssistant) {
      placed.push_back(turn(Role::kUser, std::exchange(pending, {})));
    }
    placed.push_back(std::move(message));
  }
  if (!pending.empty()) placed.push_back(turn(Role::kUser, std::move(pending)));
  return placed;
}

// Calls and results as text, for a template that knows neither.
void write_out_tools(const Conversation& conversation, const ToolFormat& format,
                     std::vector<Message>& messages) {
  if (!conversation.tools.empty()) {
    if (messages.empty() || messages.front().role != Role::kSystem) {
      messages.insert(messages.begin(), turn(Role::kSystem, {}));
    }
    messages.front().content = joined(messages.front().content, tools_description(conversation, format));
  }
  std::vector<Message> written;
  for (Message& message : messages) {
    if (message.role == Role::kTool) {
      const std::string block = format.result_open + result_text(message) + format.result_close;
      // Results of one answer's calls share a turn, as in the templates that know them.
      if (!written.empty() && written.back().role == Role::kTool) {
        written.back().content += "\n" + block;
      } else {
        written.push_back(turn(Role::kTool, block));
      }
      continue;
    }
    for (const ToolCall& call : std::exchange(message.tool_calls, {})) {
      if (!message.content.empty()) message.content += format.separator;
      message.content += write_call(format, call.name, json::serialize(arguments_object(call.arguments)));
    }
    written.push_back(std::move(message));
  }
  for (Message& message : written) {
    if (message.role == Role::kTool) message.role = Role::kUser;
  }
  messages = std::move(written);
}

void fold_system_into_user(std::vector<Message>& messages) {
  if (messages.empty() || messages.front().role != Role::kSystem) return;
  if (messages.size() > 1 && messages[1].role == Role::kUser) {
    messages[1].content = joined(messages.front().content, messages[1].content);
    messages.erase(messages.begin());
  } else {
    messages.front().role = Role::kUser;
  }
}

json::object message_json(const Message& message) {
  json::object object{{"role", role_name(message.role)}, {"content", result_text(message)}};
  if (!message.reasoning.empty()) object["reasoning_content"] = message.reasoning;
  if (!message.tool_calls.empty()) {
    json::array calls;
    for (const ToolCall& call : message.tool_calls) {
      json::object function{{"name", call.name}, {"arguments", arguments_object(call.arguments)}};
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
  return trimmed.size() >= reasoning.open.size() &&
         trimmed.substr(trimmed.size() - reasoning.open.size()) == reasoning.open;
}

}  // namespace

json::object template_context(const Conversation& conversation, const TemplateTraits& traits) {
  std::vector<Message> messages = place_system_turns(conversation, traits);
  if (!traits.renders_tools) write_out_tools(conversation, traits.format, messages);
  if (!traits.renders_system) fold_system_into_user(messages);

  json::object context = conversation.template_options;
  json::array list;
  for (const Message& message : messages) list.push_back(message_json(message));
  context["messages"] = std::move(list);
  if (traits.renders_tools && !conversation.tools.empty()) {
    json::array tools;
    for (const Tool& tool : conversation.tools) tools.push_back(tool_json(tool));
    context["tools"] = std::move(tools);
  }
  context["add_generation_prompt"] = true;
  return context;
}

PromptRenderer::PromptRenderer(std::shared_ptr<const text::ChatTemplate> chat_template,
                               std::shared_ptr<const text::Tokenizer> tokenizer,
                               std::int64_t now_unix_seconds)
    : template_(std::move(chat_template)), tokenizer_(std::move(tokenizer)), now_(now_unix_seconds) {
  traits_ = probe_template([this](const json::object& context) { return render_context(context); },
                           template_->source());
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
  RenderedPrompt prompt;
  KVASIR_ASSIGN_OR_RETURN(prompt.text, render_text(conversation, true));
  prompt.opens_reasoning = ends_with_open_thought(prompt.text, traits_.reasoning);
  prompt.recordable = joiner_.ends_with_opening(prompt.text);
  const auto cut = joiner_.cut(conversation, prompt.text, known_turns(conversation, replay), renderer());
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
