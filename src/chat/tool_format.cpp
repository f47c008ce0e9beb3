#include "chat/tool_format.h"

namespace kvasir::chat {
namespace {

namespace json = boost::json;

// Words that no template contains by itself.
constexpr std::string_view kProbeTool = "kvasir_probe_tool";
constexpr std::string_view kProbeSystem = "KVASIR-PROBE-SYSTEM";
constexpr std::string_view kProbeReminder = "KVASIR-PROBE-REMINDER";
constexpr std::string_view kProbeQuestion = "KVASIR-PROBE-QUESTION";
constexpr std::string_view kProbeAnswer = "KVASIR-PROBE-ANSWER";
constexpr std::string_view kProbeResult = "KVASIR-PROBE-RESULT";

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
  json::object parameters{{"type", "object"},
                          {"properties", json::object{{"x", json::object{{"type", "string"}}}}}};
  json::object function{
      {"name", kProbeTool}, {"description", "probe"}, {"parameters", std::move(parameters)}};
  return {json::object{{"type", "function"}, {"function", std::move(function)}}};
}

json::object probe_call_turn() {
  json::object function{{"name", kProbeTool}, {"arguments", json::object{{"x", "1"}}}};
  json::object call{{"id", "call_00000"}, {"type", "function"}, {"function", std::move(function)}};
  json::object message = turn("assistant", "");
  message["tool_calls"] = json::array{std::move(call)};
  return message;
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

std::vector<ToolFormat> make_formats() {
  ToolFormat hermes;
  hermes.name = "hermes";
  hermes.open = "<tool_call>";
  hermes.close = "</tool_call>";
  hermes.lead = "\n";
  hermes.trail = "\n";
  hermes.separator = "\n";
  hermes.name_key = "name";
  hermes.arguments_keys = {"arguments", "parameters"};
  hermes.bare_call_opens_line = true;
  hermes.result_open = "<tool_response>\n";
  hermes.result_close = "\n</tool_response>";
  return {std::move(hermes)};
}

// The format whose rendering of a call this is, or null.
const ToolFormat* recognise(std::string_view rendered) {
  for (const ToolFormat& format : known_tool_formats()) {
    // The name key in quotes keeps apart the families that share the delimiters but not the JSON body.
    const std::string key = "\"" + format.name_key + "\"";
    const std::string arguments = "\"" + format.arguments_keys.front() + "\"";
    if (in_order(rendered, {format.open, key, kProbeTool, arguments, format.close})) return &format;
  }
  return nullptr;
}

void probe_tools_of(const RenderFn& render, TemplateTraits& traits) {
  json::object declared = context({turn("user", kProbeQuestion)});
  declared["tools"] = probe_tools();
  const Result<std::string> with_tools = render(declared);
  if (!with_tools || with_tools->find(kProbeTool) == std::string::npos) return;

  json::object answer = turn("tool", kProbeResult);
  answer["tool_call_id"] = "call_00000";
  answer["name"] = kProbeTool;
  json::object called = context({turn("user", kProbeQuestion), probe_call_turn(), std::move(answer)});
  // Without the declaration, so that the example call in it is not taken for the turn's own.
  const Result<std::string> with_call = render(called);
  if (!with_call || with_call->find(kProbeResult) == std::string::npos) return;
  const ToolFormat* format = recognise(*with_call);
  if (format == nullptr) return;
  traits.format = *format;
  traits.renders_tools = true;
}

}  // namespace

std::span<const ToolFormat> known_tool_formats() {
  static const std::vector<ToolFormat> formats = make_formats();
  return formats;
}

const ToolFormat& hermes_format() {
  return known_tool_formats().front();
}

std::string write_call(const ToolFormat& format, std::string_view name, std::string_view arguments_json) {
  std::string text = format.open + format.lead + "{\"" + format.name_key + "\": ";
  text += json::serialize(json::string_view(name.data(), name.size()));
  text += ", \"" + format.arguments_keys.front() + "\": ";
  text += arguments_json;
  text += "}" + format.trail + format.close;
  return text;
}

TemplateTraits probe_template(const RenderFn& render, std::string_view template_source) {
  TemplateTraits traits;
  traits.format = hermes_format();
  probe_tools_of(render, traits);

  const Result<std::string> system =
      render(context({turn("system", kProbeSystem), turn("user", kProbeQuestion)}));
  traits.renders_system = system && in_order(*system, {kProbeSystem, kProbeQuestion});
  const Result<std::string> mid = render(
      context({turn("system", kProbeSystem), turn("user", kProbeQuestion), turn("assistant", kProbeAnswer),
               turn("system", kProbeReminder), turn("user", kProbeQuestion)}));
  traits.renders_mid_system =
      mid && in_order(*mid, {kProbeSystem, kProbeQuestion, kProbeAnswer, kProbeReminder, kProbeQuestion});

  if (template_source.find("</think>") != std::string_view::npos) traits.reasoning = {"<think>", "</think>"};
  return traits;
}

}  // namespace kvasir::chat
