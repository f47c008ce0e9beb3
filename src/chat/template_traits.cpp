#include "chat/template_traits.h"

#include <optional>

#include "chat/call_writer.h"
#include "chat/json_text.h"
#include "chat/thought_space.h"

namespace kvasir::chat {
namespace {

namespace json = boost::json;

// Words that no template contains by itself.
constexpr std::string_view kTool = "kvasir_probe_tool";
constexpr std::string_view kSystem = "KVASIR-PROBE-SYSTEM";
constexpr std::string_view kReminder = "KVASIR-PROBE-REMINDER";
constexpr std::string_view kQuestion = "KVASIR-PROBE-QUESTION";
constexpr std::string_view kAnswer = "KVASIR-PROBE-ANSWER";
constexpr std::string_view kThought = "KVASIR-PROBE-THOUGHT";
constexpr std::string_view kResult = "KVASIR-PROBE-RESULT";

json::object turn(std::string_view role, std::string_view content) {
  return {{"role", role}, {"content", content}};
}

json::object context(json::array messages) {
  return {{"messages", std::move(messages)},
          {"add_generation_prompt", true},
          {"bos_token", ""},
          {"eos_token", ""}};
}

json::array probe_tools() {
  const json::object properties{{"a", json::object{{"type", "string"}, {"description", "probe"}}},
                                {"b", json::object{{"type", "integer"}, {"description", "probe"}}}};
  const json::object parameters{
      {"type", "object"}, {"properties", properties}, {"required", json::array{"a", "b"}}};
  return {json::object{
      {"type", "function"},
      {"function", json::object{{"name", kTool}, {"description", "probe"}, {"parameters", parameters}}}}};
}

// Asks for `words` in this order.
bool in_order(std::string_view text, std::initializer_list<std::string_view> words) {
  std::size_t at = 0;
  for (const std::string_view word : words) {
    at = text.find(word, at);
    if (at == std::string_view::npos) return false;
    at += word.size();
  }
  return true;
}

std::vector<ToolCall> probe_calls(std::size_t count) {
  std::vector<ToolCall> calls;
  for (std::size_t i = 0; i < count; ++i) {
    const std::string number = std::to_string(i);
    json::object arguments{{"a", "kvasir-probe-value" + number}};
    arguments["b"] = 70 + static_cast<int>(i);
    calls.push_back({"call0000" + number, std::string(kTool), json::serialize(arguments)});
  }
  return calls;
}

// One way of showing a template a turn with calls.
struct Way {
  bool arguments_as_text = false;
  bool null_content = false;
};

class CallProbe {
 public:
  CallProbe(const RenderFn& render, TemplateTraits& traits, const ToolFormat* forced)
      : render_(render), traits_(traits), forced_(forced) {}

  void run() {
    json::object declared = context({turn("user", kQuestion)});
    declare(declared);
    const Result<std::string> with_tools = render_(declared);
    traits_.renders_tools = with_tools && with_tools->find(kTool) != std::string::npos;
    find_format();
    if (!traits_.renders_calls && forced_ == nullptr && traits_.renders_tools) find_by_hint(*with_tools);
    // A template without tools writes any role; its model has never seen this one.
    if (!traits_.renders_calls && traits_.renders_tools) probe_results();
  }

 private:
  static void declare(json::object& context) {
    context["tools"] = probe_tools();
    context["xml_tools"] = probe_tools();
  }

  json::object call_turn(std::string_view text, const std::vector<ToolCall>& calls, Way way) const {
    json::array list;
    for (const ToolCall& call : calls) {
      json::object function{{"name", call.name}};
      function["arguments"] =
          way.arguments_as_text ? json::value(call.arguments) : json::parse(call.arguments);
      list.push_back(json::object{{"id", call.id}, {"type", "function"}, {"function", std::move(function)}});
    }
    json::object message = turn("assistant", text);
    if (text.empty() && way.null_content) message["content"] = nullptr;
    if (!list.empty()) message["tool_calls"] = std::move(list);
    return message;
  }

  // Question, a turn, the results of its calls: the rendering from the question on.
  std::optional<std::string> rendered(json::object message, const std::vector<ToolCall>& calls) const {
    json::array messages = {turn("user", kQuestion), std::move(message)};
    for (const ToolCall& call : calls) {
      json::object answer = turn("tool", kResult);
      answer["tool_call_id"] = call.id;
      answer["name"] = call.name;
      messages.push_back(std::move(answer));
    }
    json::object shown = context(std::move(messages));
    declare(shown);
    const Result<std::string> text = render_(shown);
    if (!text) return std::nullopt;
    const std::size_t at = text->rfind(kQuestion);
    return at == std::string::npos ? *text : text->substr(at);
  }

  static bool fits(const ToolFormat& format, std::string_view text, const std::vector<ToolCall>& calls,
                   bool exact) {
    if (exact) return text.find(trim(write_calls(format, calls))) != std::string_view::npos;
    const std::vector<std::string> openers = call_openers(format);
    const bool opens = !trim(format.section.open).empty() || !trim(format.call.open).empty();
    if (!opens || !in_order(text, {openers.front(), calls.front().name, "kvasir-probe-value0"})) return false;
    if (const auto* body = format.as<JsonCallStyle>(); body != nullptr && !body->name_key.empty()) {
      return in_order(text, {openers.front(), quoted(body->name_key), calls.front().name,
                             quoted(body->arguments_keys.front()), "kvasir-probe-value0"});
    }
    if (const auto* body = format.as<TaggedStyle>()) {
      return in_order(text, {trim(format.call.open), calls.front().name, body->parameter_open,
                             "kvasir-probe-value0", trim(body->parameter_close)});
    }
    if (const auto* body = format.as<NamedJsonStyle>()) {
      return in_order(text, {trim(format.call.open), calls.front().name, trim(body->name_end), "{",
                             "kvasir-probe-value0"});
    }
    return false;
  }

  const ToolFormat* recognise(std::string_view text, const std::vector<ToolCall>& calls, bool exact) const {
    for (const ToolFormat& format : known_tool_formats()) {
      if (fits(format, text, calls, exact)) return &format;
    }
    return nullptr;
  }

  // Two calls, then one; as the row writes them, then anything like it; each way that templates want them
  // shown.
  void find_format() {
    for (const bool exact : {true, false}) {
      for (const std::size_t count : {2U, 1U}) {
        for (const bool as_text : {false, true}) {
          for (const bool null_content : {false, true}) {
            if (try_way({as_text, null_content}, count, exact)) return;
          }
        }
      }
    }
  }

  bool try_way(Way way, std::size_t count, bool exact) {
    const std::vector<ToolCall> calls = probe_calls(count);
    const auto text = rendered(call_turn("", calls, way), calls);
    if (!text) return false;
    const ToolFormat* format = recognise(*text, calls, exact);
    if (format == nullptr || (forced_ != nullptr && format->name != forced_->name)) return false;
    if (count > 1 && !in_order(*text, {"kvasir-probe-value0", "kvasir-probe-value1"})) return false;
    traits_.format = *format;
    traits_.renders_calls = true;
    traits_.renders_results = text->find(kResult) != std::string::npos;
    traits_.several_calls = count > 1;
    traits_.arguments_as_text = way.arguments_as_text;
    traits_.null_content = way.null_content;
    probe_call_text(way);
    return true;
  }

  void probe_call_text(Way way) {
    const std::vector<ToolCall> calls = probe_calls(1);
    const auto beside = rendered(call_turn(kAnswer, calls, way), calls);
    traits_.renders_call_text =
        beside && beside->find(kAnswer) != std::string::npos && beside->find(kTool) != std::string::npos;
    if (!traits_.renders_call_text) probe_calls_in_text();
    json::object thinking = call_turn(kAnswer, calls, way);
    thinking["thinking"] = kThought;
    traits_.thought_excludes_text = beside && !rendered(std::move(thinking), calls);
  }

  void probe_calls_in_text() {
    const std::vector<ToolCall> calls = probe_calls(1);
    const std::string written = std::string(kAnswer) + write_calls(traits_.format, calls);
    const auto text = rendered(turn("assistant", written), calls);
    traits_.writes_calls_in_text = text && in_order(*text, {written, kResult});
  }

  void find_by_hint(std::string_view with_tools) {
    for (const ToolFormat& format : known_tool_formats()) {
      if (format.hint.empty() || with_tools.find(format.hint) == std::string_view::npos) continue;
      traits_.format = format;
      return;
    }
    traits_.renders_tools = false;  // declared in a way that is not known here: it is declared again
  }

  void probe_results() {
    const auto text = rendered(turn("assistant", kAnswer), probe_calls(1));
    traits_.renders_results = text && in_order(*text, {kAnswer, kResult});
  }

  const RenderFn& render_;
  TemplateTraits& traits_;
  const ToolFormat* forced_;
};

// Of thoughts: the tags where the source does not show them whole, and the white space around them.
void find_thought_form(const RenderFn& render, const RenderSettings& ask, TemplateTraits& traits) {
  json::object answer = turn("assistant", kAnswer);
  answer[traits.thought_key] = kThought;
  json::object asked = context({turn("user", kQuestion), std::move(answer)});
  asked["add_generation_prompt"] = false;
  const Result<std::string> rendered = render(asked);
  const std::string shown = rendered ? *rendered : std::string();
  ReasoningFormat& reasoning = traits.reasoning;
  if (!reasoning.known() && shown.find(kThought) != std::string::npos)
    reasoning = find_reasoning_format(shown);
  if (!reasoning.known() || learn_space_from_turn(reasoning, shown, kThought, kAnswer)) return;
  if (traits.thinking.off.empty()) return;
  const Result<std::string> silent = ask(traits.thinking.off);
  if (silent) learn_space_from_silence(reasoning, *silent);
}

}  // namespace

TemplateTraits probe_template(const RenderFn& render, std::string_view template_source,
                              const ToolFormat* forced) {
  TemplateTraits traits;
  traits.format = forced != nullptr ? *forced : hermes_format();
  CallProbe(render, traits, forced).run();

  const Result<std::string> system = render(context({turn("system", kSystem), turn("user", kQuestion)}));
  traits.renders_system = system && in_order(*system, {kSystem, kQuestion});
  const Result<std::string> mid =
      render(context({turn("system", kSystem), turn("user", kQuestion), turn("assistant", kAnswer),
                      turn("system", kReminder), turn("user", kQuestion)}));
  traits.renders_mid_system = mid && in_order(*mid, {kSystem, kQuestion, kAnswer, kReminder, kQuestion});

  traits.reasoning = find_reasoning_format(template_source);
  for (const char* key : {"message.thinking", "message['thinking']", "message[\"thinking\"]"}) {
    const bool usual = template_source.find("reasoning_content") != std::string_view::npos;
    if (!usual && template_source.find(key) != std::string_view::npos) traits.thought_key = "thinking";
  }
  const RenderSettings ask = [&](const json::object& settings) {
    json::object asked = context({turn("user", kQuestion)});
    for (const auto& setting : settings) asked[setting.key()] = setting.value();
    return render(asked);
  };
  traits.thinking = find_thinking_switch(ask, template_source);
  find_thought_form(render, ask, traits);
  return traits;
}

}  // namespace kvasir::chat
