#include "chat/thinking_switch.h"

#include <algorithm>
#include <optional>

namespace kvasir::chat {
namespace {

namespace json = boost::json;

// A word that no template knows.
constexpr const char* kUnknown = "kvasir-probe";

class Probe {
 public:
  Probe(const RenderSettings& render, std::string_view source) : render_(render), source_(source) {}

  ThinkingSwitch run() {
    // Qwen3, GLM, SmolLM3, ...; DeepSeek, Granite, Kimi K3; Command A.
    for (const char* key : {"enable_thinking", "thinking", "reasoning"}) add_switch(key, true, false);
    add_switch("thinking_mode", "enabled", "disabled");  // MiniMax M3
    for (const char* key : {"reasoning_effort", "thinking_effort"}) add_efforts(key);
    add_budget("thinking_budget");  // Seed-OSS
    return std::move(found_);
  }

 private:
  // With a variable set, beside what asks for a thought; nullopt where the template refuses, or does not name
  // the variable.
  std::optional<std::string> with(const char* key, const json::value& value) const {
    json::object settings = found_.on;
    settings[key] = value;
    auto text = render_(settings);
    if (!text) return std::nullopt;
    return std::move(text).value();
  }
  bool names(const char* key) const { return source_.find(key) != std::string_view::npos; }

  void add_switch(const char* key, const json::value& on, const json::value& off) {
    if (!names(key)) return;
    const auto thinks = with(key, on);
    const auto silent = with(key, off);
    if (!thinks || !silent || *thinks == *silent) return;
    found_.on[key] = on;
    found_.off[key] = off;
  }

  void add_efforts(const char* key) {
    if (!names(key) || !found_.efforts.empty()) return;
    const auto unknown = with(key, kUnknown);
    // A template that writes any word as it is has been trained with these (gpt-oss).
    if (unknown && unknown->find(kUnknown) != std::string::npos) {
      found_.effort_key = key;
      found_.efforts = {"low", "medium", "high"};
      return;
    }
    const auto told = [&](std::string_view word) {
      const auto text = with(key, json::value(word));
      return text && (!unknown || *text != *unknown);
    };
    for (const std::string_view word : kEffortWords) {
      if (word != "none" && told(word)) found_.efforts.emplace_back(word);
    }
    if (!found_.efforts.empty()) found_.effort_key = key;
    for (const std::string_view word : {"none", "no_think"}) {  // Hy3: the effort is the switch
      if (!found_.off.empty() || found_.efforts.empty() || !told(word)) continue;
      found_.off[key] = word;
      found_.on[key] = found_.efforts.back();
    }
  }

  void add_budget(const char* key) {
    if (!names(key)) return;
    const auto some = with(key, 512);
    const auto more = with(key, 4096);
    if (!some || !more || *some == *more) return;
    found_.budget_key = key;
    const auto none = with(key, 0);
    if (found_.off.empty() && none && *none != *some) found_.off[key] = 0;
  }

  const RenderSettings& render_;
  std::string_view source_;
  ThinkingSwitch found_;
};

// The word for an effort: itself, or at either end of the scale the next one towards its middle.
std::optional<std::string> word_for(Effort effort, const std::vector<std::string>& words) {
  auto at = static_cast<std::size_t>(effort);
  constexpr auto kMiddle = static_cast<std::size_t>(Effort::kMedium);
  while (true) {
    if (std::ranges::find(words, kEffortWords[at]) != words.end()) return std::string(kEffortWords[at]);
    const bool low = at + 1 < kMiddle;
    const bool high = at > kMiddle + 1;
    if (!low && !high) return std::nullopt;
    at += low ? 1 : -1;
  }
}

}  // namespace

ThinkingSwitch find_thinking_switch(const RenderSettings& render, std::string_view template_source) {
  return Probe(render, template_source).run();
}

void apply_thinking(const ThinkingWish& wish, const ThinkingSwitch& way, json::object& context) {
  // emplace() leaves what is there.
  std::optional<Effort> effort = wish.effort;
  const bool off = wish.enabled && !*wish.enabled;
  if (off) effort = Effort::kMinimal;  // where there is no switch: the least there is
  if (effort && !way.effort_key.empty() && !(off && !way.off.empty())) {
    if (const auto word = word_for(*effort, way.efforts)) context.emplace(way.effort_key, *word);
  }
  if (wish.enabled) {
    for (const auto& setting : off ? way.off : way.on) context.emplace(setting.key(), setting.value());
  }
  if (wish.max_tokens && !off && !way.budget_key.empty()) context.emplace(way.budget_key, *wish.max_tokens);
}

}  // namespace kvasir::chat
