#include "api/reasoning_options.h"

#include <algorithm>
#include <limits>

namespace kvasir::api {
namespace {

namespace json = boost::json;
using chat::Effort;

constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();

// One wish that several fields may tell.
template <class T>
class Told {
 public:
  explicit Told(std::optional<T>& to) : to_(to) {}
  void set(const std::string& path, T value) {
    if (to_ && *to_ != value) field_error(path, "contradicts " + path_);
    to_ = value;
    path_ = path;
  }

 private:
  std::optional<T>& to_;
  std::string path_;
};

Effort effort_of(const std::string& path, const std::string& word) {
  const auto found = std::ranges::find(chat::kEffortWords, word);
  if (found != chat::kEffortWords.end()) return static_cast<Effort>(found - chat::kEffortWords.begin());
  field_error(path, "\"" + word + "\" is not one of none, minimal, low, medium, high, xhigh, max");
}

// A budget; -1 is how other servers' clients say "none".
void take_budget(const Fields& from, std::string_view key, Told<std::uint32_t>& budget) {
  const auto tokens = from.integer(key, -1, kMost);
  if (tokens && *tokens >= 0) budget.set(from.path_of(key), static_cast<std::uint32_t>(*tokens));
}

void take_switch(const Fields& from, std::string_view key, Told<bool>& enabled) {
  if (const auto on = from.boolean(key)) enabled.set(from.path_of(key), *on);
}

void parse_shown(const Fields& body, const std::optional<Fields>& reasoning, ThoughtsShown& shown) {
  std::optional<bool> hidden;
  Told<bool> told(hidden);
  if (reasoning) take_switch(*reasoning, "exclude", told);
  const auto include = body.boolean("include_reasoning");
  if (include) told.set("include_reasoning", !*include);
  shown.hidden = hidden.value_or(false);
  shown.as_reasoning = !shown.hidden && (reasoning || include);
  const std::string format = body.string("reasoning_format").value_or("auto");
  if (format != "none" && format != "auto" && format != "deepseek")
    field_error("reasoning_format", "\"" + format + "\" is not one of none, auto, deepseek");
  shown.in_content = format == "none";
}

}  // namespace

void parse_openai_reasoning(const Fields& body, ChatRequest& request) {
  chat::Conversation& conversation = request.conversation;
  chat::ThinkingWish& wish = conversation.thinking;
  Told<bool> enabled(wish.enabled);
  Told<Effort> effort(wish.effort);
  Told<std::uint32_t> budget(wish.max_tokens);

  const auto take_effort = [&](const Fields& from, std::string_view key) {
    const auto word = from.string(key);
    if (!word) return;
    const std::string path = from.path_of(key);
    effort.set(path, effort_of(path, *word));
    enabled.set(path, *wish.effort != Effort::kNone);
  };
  take_effort(body, "reasoning_effort");
  // OpenRouter's
  const std::optional<Fields> reasoning = body.fields("reasoning");
  if (reasoning) {
    take_effort(*reasoning, "effort");
    take_switch(*reasoning, "enabled", enabled);
    take_budget(*reasoning, "max_tokens", budget);
  }
  // Alibaba's, llama.cpp's and vLLM's
  for (const char* key : {"max_reasoning_tokens", "thinking_budget", "reasoning_budget",
                          "thinking_budget_tokens", "thinking_token_budget"}) {
    take_budget(body, key, budget);
  }
  take_switch(body, "enable_thinking", enabled);
  // What the template is given by name it is given as it is; that a switch among it may have another name in
  // this model's template is the server's business.
  if (const std::optional<Fields> options = body.fields("chat_template_kwargs")) {
    conversation.template_options = options->all();
    for (const char* key : {"enable_thinking", "thinking"}) {
      const json::value* value = options->find(key);
      if (value != nullptr && value->is_bool()) enabled.set(options->path_of(key), value->get_bool());
    }
  }
  if (wish.max_tokens == 0U && !wish.enabled) wish.enabled = false;
  parse_shown(body, reasoning, request.options.thoughts);
}

void parse_anthropic_thinking(const Fields& body, ChatRequest& request) {
  chat::ThinkingWish& wish = request.conversation.thinking;
  if (const std::optional<Fields> output = body.fields("output_config")) {
    if (const auto word = output->string("effort")) wish.effort = effort_of(output->path_of("effort"), *word);
  }
  const std::optional<Fields> thinking = body.fields("thinking");
  if (!thinking) return;
  const std::string type = thinking->required_string("type");
  if (type == "disabled") {
    wish.enabled = false;
  } else if (type == "enabled") {
    wish.enabled = true;
    const auto tokens = thinking->integer("budget_tokens", 1, kMost);
    if (!tokens) field_error(thinking->path_of("budget_tokens"), "is required and must be a whole number");
    wish.max_tokens = static_cast<std::uint32_t>(*tokens);
  } else if (type != "adaptive" && type != "between_tools") {
    // The model's own template decides in these two.
    field_error(thinking->path_of("type"),
                "\"" + type + "\" is not one of enabled, disabled, adaptive, between_tools");
  }
  const std::string display = thinking->string("display").value_or("summarized");
  // "updates" is Claude Code's wish for word of its progress in a stream of turns: the thoughts are that.
  if (display != "summarized" && display != "updates" && display != "omitted") {
    field_error(thinking->path_of("display"),
                "\"" + display + "\" is not one of summarized, updates, omitted");
  }
  request.options.thoughts.hidden = display == "omitted";
}

}  // namespace kvasir::api
