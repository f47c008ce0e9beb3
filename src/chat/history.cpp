#include "chat/history.h"

#include <xxhash.h>

#include <algorithm>
#include <set>
#include <utility>

#include "chat/call_writer.h"
#include "chat/json_text.h"

namespace kvasir::chat {
namespace {

namespace json = boost::json;

std::string joined(const std::string& first, const std::string& second) {
  return first.empty() || second.empty() ? first + second : first + "\n\n" + second;
}

std::string reminder(const std::string& text) {
  return "<system-reminder>\n" + text + "\n</system-reminder>";
}

Message turn(Role role, std::string content) {
  Message message;
  message.role = role;
  message.content = std::move(content);
  return message;
}

// What the system turn says of the tools where the template says nothing.
std::string tools_description(const Conversation& conversation, const ToolFormat& format) {
  std::string text =
      "# Tools\n\nYou can call functions. Their signatures, one JSON object a line:\n<tools>\n";
  for (const Tool& tool : conversation.tools) {
    if (!tool.deferred) text += tool_text(tool) + "\n";
  }
  text += "</tools>\n\nTo call a function, answer with ";
  const auto* object = format.as<JsonCallStyle>();
  if (object != nullptr && !format.section.open.empty() && format.list.open.empty()) {
    text += "a JSON object that holds its name and arguments, inside " +
            std::string(trim(format.section.open)) + " tags:\n" + format.section.open + "{\"" +
            object->name_key + "\": <function name>, \"" + object->arguments_keys.front() +
            "\": <arguments object>}" + format.section.close;
  } else {
    const ToolCall example{"call00000", "function_name", R"({"argument_name": "value"})"};
    text += "a call in exactly this form:\n" + write_calls(format, {&example, 1});
  }
  return text;
}

// System turns where the template takes them: see TemplateTraits.
std::vector<Message> place_system_turns(const Conversation& conversation, const TemplateTraits& traits) {
  std::vector<Message> placed;
  const std::vector<Message>& messages = conversation.messages;
  std::size_t next = 0;
  if (!traits.renders_mid_system || !traits.renders_system) {
    // One leading system turn at most.
    Message system = turn(Role::kSystem, {});
    const auto leads = [](const Message& message) {
      return message.role == Role::kSystem && !message.in_conversation;
    };
    for (; next < messages.size() && leads(messages[next]); ++next) {
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

// Ids in the form that the templates of the format insist on; the same id always becomes the same.
std::string fitted_id(const ToolFormat& format, const std::string& id) {
  constexpr std::size_t kNine = 9;
  const bool fits =
      id.size() == kNine && std::ranges::all_of(id, [](unsigned char c) { return std::isalnum(c); });
  if (format.ids != IdRule::kNine || fits) return id;
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz0123456789";
  std::uint64_t hash = XXH3_64bits(id.data(), id.size());
  std::string nine;
  for (std::size_t i = 0; i < kNine; ++i, hash /= kLetters.size()) nine += kLetters[hash % kLetters.size()];
  return nine;
}

// A call of the turn before, and whether its result has been seen.
struct GivenCall {
  std::string id;
  std::string written;  // the id as the template is shown it
  std::string name;
  bool answered = false;
};

// A result of an unknown id is that of the first call that still waits for one.
void fit_result(const ToolFormat& format, std::vector<GivenCall>& given, Message& message) {
  auto call = std::ranges::find(given, message.tool_call_id, &GivenCall::id);
  if (call == given.end()) call = std::ranges::find(given, false, &GivenCall::answered);
  if (call == given.end()) {
    message.tool_call_id = fitted_id(format, message.tool_call_id);
    return;
  }
  call->answered = true;
  message.tool_call_id = call->written;
  if (message.name.empty()) message.name = call->name;
}

void fit_ids(const ToolFormat& format, std::vector<Message>& messages) {
  const auto* named = format.as<NamedJsonStyle>();
  const bool by_place = named != nullptr && !named->index_mark.empty();
  std::vector<GivenCall> given;
  for (Message& message : messages) {
    if (message.role == Role::kTool) fit_result(format, given, message);
    if (message.role != Role::kAssistant) continue;
    given.clear();
    for (std::size_t i = 0; i < message.tool_calls.size(); ++i) {
      ToolCall& call = message.tool_calls[i];
      std::string id = by_place ? "functions." + call.name + named->index_mark + std::to_string(i)
                                : fitted_id(format, call.id);
      given.push_back({call.id, id, call.name});
      call.id = std::move(id);
    }
  }
}

// A result is shown behind an assistant's turn only: templates refuse others or mistake them for something
// else.
void place_orphans(const ToolFormat& format, std::vector<Message>& messages) {
  bool answers = false;
  for (Message& message : messages) {
    if (message.role != Role::kTool) {
      answers = message.role == Role::kAssistant;
    } else if (!answers) {
      message.content = format.result.open + result_text(message) + format.result.close;
      message.role = Role::kUser;
      message.is_error = false;
    }
  }
}

// A turn with several calls becomes one turn a call, each with its result behind it.
void split_calls(std::vector<Message>& messages) {
  std::vector<Message> split;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    Message& message = messages[i];
    if (message.tool_calls.size() < 2) {
      split.push_back(std::move(message));
      continue;
    }
    std::size_t end = i + 1;
    while (end < messages.size() && messages[end].role == Role::kTool) ++end;
    std::vector<Message> results(
        std::make_move_iterator(messages.begin() + static_cast<std::ptrdiff_t>(i) + 1),
        std::make_move_iterator(messages.begin() + static_cast<std::ptrdiff_t>(end)));
    std::vector<ToolCall> calls = std::exchange(message.tool_calls, {});
    for (std::size_t c = 0; c < calls.size(); ++c) {
      Message one = turn(Role::kAssistant, {});
      if (c == 0) std::swap(one, message);
      auto result = std::ranges::find(results, calls[c].id, &Message::tool_call_id);
      if (result == results.end() && !results.empty()) result = results.begin();
      one.tool_calls.push_back(std::move(calls[c]));
      split.push_back(std::move(one));
      if (result == results.end()) continue;
      split.push_back(std::move(*result));
      results.erase(result);
    }
    std::ranges::move(results, std::back_inserter(split));
    i = end - 1;
  }
  messages = std::move(split);
}

// Calls in the text of their turn, as the model wrote them.
void write_calls_in_text(const TemplateTraits& traits, std::vector<Message>& messages) {
  const ToolFormat& format = traits.format;
  for (Message& message : messages) {
    if (message.tool_calls.empty()) continue;
    if (traits.renders_calls &&
        (traits.renders_call_text || !traits.writes_calls_in_text || message.content.empty())) {
      continue;
    }
    if (!message.content.empty()) message.content += format.separator.starts_with('\n') ? "\n" : "";
    message.content += write_calls(format, std::exchange(message.tool_calls, {}));
  }
}

// Results of one turn's calls share a user turn, as in the templates that write them so.
void write_results_in_text(const ToolFormat& format, std::vector<Message>& messages) {
  std::vector<Message> written;
  for (Message& message : messages) {
    if (message.role != Role::kTool) {
      written.push_back(std::move(message));
      continue;
    }
    const std::string block = format.result.open + result_text(message) + format.result.close;
    if (!written.empty() && written.back().role == Role::kTool) {
      written.back().content += "\n" + block;
    } else {
      written.push_back(turn(Role::kTool, block));
    }
  }
  for (Message& message : written) {
    if (message.role == Role::kTool) message.role = Role::kUser;
  }
  messages = std::move(written);
}

void describe_tools(const Conversation& conversation, const ToolFormat& format,
                    std::vector<Message>& messages) {
  if (!declares_tools(conversation)) return;
  if (messages.empty() || messages.front().role != Role::kSystem) {
    messages.insert(messages.begin(), turn(Role::kSystem, {}));
  }
  messages.front().content = joined(messages.front().content, tools_description(conversation, format));
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

}  // namespace

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

std::string tool_text(const Tool& tool) {
  return json::serialize(tool_json(tool));
}

bool declares_tools(const Conversation& conversation) {
  return !std::ranges::all_of(conversation.tools, &Tool::deferred);
}

// A failed call's result says so even where the template has no place for it.
std::string result_text(const Message& message) {
  if (!message.is_error) return message.content;
  const bool says_so = message.content.rfind("Error", 0) == 0 || message.content.rfind('<', 0) == 0;
  return says_so ? message.content : "Error: " + message.content;
}

std::vector<Message> fitted_messages(const Conversation& conversation, const TemplateTraits& traits) {
  std::vector<Message> messages = place_system_turns(conversation, traits);
  if (!traits.renders_tools) describe_tools(conversation, traits.format, messages);
  fit_ids(traits.format, messages);
  place_orphans(traits.format, messages);
  if (traits.renders_calls && !traits.several_calls) split_calls(messages);
  write_calls_in_text(traits, messages);
  if (!traits.renders_results) write_results_in_text(traits.format, messages);
  if (!traits.renders_system) fold_system_into_user(messages);
  if (traits.thought_excludes_text) {
    for (Message& message : messages) {
      if (message.tool_calls.empty() || message.reasoning.empty()) continue;
      message.reasoning = joined(message.reasoning, std::exchange(message.content, {}));
    }
  }
  return messages;
}

}  // namespace kvasir::chat
