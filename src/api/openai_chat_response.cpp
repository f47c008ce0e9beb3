// OpenAI's chat.completion and chat.completion.chunk objects.

#include <utility>

#include "api/custom_input.h"
#include "api/openai_usage.h"

namespace kvasir::api {
namespace {

namespace json = boost::json;

struct Choice {
  std::string content;
  std::string reasoning;
  json::array tool_calls;
  std::string arguments;              // of the last call, not yet in tool_calls
  std::optional<CustomInput> custom;  // where the last call is a custom tool's
  std::size_t calls = 0;
  json::array logprobs;
  json::value finish_reason;
};

class OpenAiChatResponse : public ResponseBuilder {
 public:
  explicit OpenAiChatResponse(ResponseOptions options)
      : options_(std::move(options)), choices_(options_.choices), usage_(options_.answers_a_prompt) {}

  std::string opened() override {
    std::string out;
    if (!options_.stream) return out;
    for (std::size_t i = 0; i < choices_.size(); ++i)
      out += chunk(i, {{"role", "assistant"}, {"content", ""}}, nullptr);
    return out;
  }

  void explain(const CacheExplanation& explanation) override { explanation_ = explanation; }
  std::string started(std::size_t, const engine::Started&) override { return {}; }

  std::string output(std::size_t choice, std::span<const chat::OutputEvent> events,
                     std::span<const engine::SampledToken> tokens) override {
    std::string out;
    json::value logprobs = nullptr;
    if (options_.logprobs && !tokens.empty())
      logprobs = json::object{{"content", logprobs_json(options_, tokens)}, {"refusal", nullptr}};
    for (const chat::OutputEvent& event : events) {
      json::object delta = std::visit([&](const auto& e) { return take(choices_[choice], e); }, event);
      // The tokens belong to the whole batch of events; its first chunk carries them.
      if (options_.stream && !delta.empty()) {
        out += chunk(choice, std::move(delta), nullptr, std::exchange(logprobs, nullptr));
      }
    }
    if (options_.stream && !logprobs.is_null()) {
      out += chunk(choice, {{"content", ""}}, nullptr, std::move(logprobs));
    } else if (!options_.stream && options_.logprobs) {
      for (json::value& entry : logprobs_json(options_, tokens))
        choices_[choice].logprobs.push_back(std::move(entry));
    }
    return out;
  }

  void reasoned(std::size_t /*choice*/, std::uint32_t tokens) override { usage_.add_reasoning(tokens); }

  std::string finished(std::size_t choice, const engine::Finished& finished) override {
    Choice& state = choices_[choice];
    usage_.add(choice, finished.usage);
    state.finish_reason = finished.reason == engine::FinishReason::kLength ? "length"
                          : state.calls > 0                                ? "tool_calls"
                                                                           : "stop";
    return options_.stream ? chunk(choice, {}, state.finish_reason) : std::string();
  }

  std::string ended() override {
    if (!options_.stream) return {};
    return stream_end(options_, head("chat.completion.chunk"), usage_, explanation_);
  }

  std::string keepalive() override { return options_.stream ? ": ping\n\n" : ""; }

  std::string failed(const Error& error) override {
    return options_.stream ? error_event(Dialect::kOpenAi, error) : std::string();
  }

  std::string body() override {
    json::array list;
    for (std::size_t i = 0; i < choices_.size(); ++i) {
      Choice& state = choices_[i];
      json::object message{{"role", "assistant"}, {"content", nullptr}, {"refusal", nullptr}};
      if (!state.content.empty() || state.tool_calls.empty()) message["content"] = state.content;
      if (!state.reasoning.empty()) add_thought(message, state.reasoning);
      if (!state.tool_calls.empty()) message["tool_calls"] = std::move(state.tool_calls);
      json::value logprobs = nullptr;
      if (options_.logprobs)
        logprobs = json::object{{"content", std::move(state.logprobs)}, {"refusal", nullptr}};
      list.push_back(json::object{{"index", i},
                                  {"message", std::move(message)},
                                  {"logprobs", std::move(logprobs)},
                                  {"finish_reason", std::move(state.finish_reason)}});
    }
    json::object whole = head("chat.completion");
    whole["choices"] = std::move(list);
    whole["usage"] = usage_.json();
    add_explanation(whole, explanation_);
    return json::serialize(whole);
  }

 private:
  void add_thought(json::object& message, const std::string& thought) const {
    using enum ThoughtField;
    const ThoughtField field = options_.thoughts;
    if (field == kReasoningContent || field == kBoth) message["reasoning_content"] = thought;
    if (field == kReasoning || field == kBoth) message["reasoning"] = thought;
  }

  // Each event, as a delta; kept for body() where nothing is streamed.
  json::object take(Choice& state, const chat::TextDelta& event) const {
    if (options_.stream) return {{"content", event.text}};
    state.content += event.text;
    return {};
  }
  json::object take(Choice& state, const chat::ReasoningDelta& event) const {
    json::object delta;
    if (options_.stream) {
      add_thought(delta, event.text);
    } else {
      state.reasoning += event.text;
    }
    return delta;
  }
  json::object take(Choice& state, const chat::ToolCallBegin& event) const {
    ++state.calls;
    const auto origin = options_.tool_origins.find(event.name);
    state.custom.reset();
    if (origin != options_.tool_origins.end() && origin->second.custom) state.custom.emplace();
    const char* type = state.custom ? "custom" : "function";
    json::object called{{"name", event.name}, {state.custom ? "input" : "arguments", ""}};
    if (!options_.stream) {
      state.arguments.clear();
      state.tool_calls.push_back(json::object{{"id", event.id}, {"type", type}, {type, std::move(called)}});
      return {};
    }
    json::object call{{"index", event.index}, {"id", event.id}, {"type", type}, {type, std::move(called)}};
    return {{"tool_calls", json::array{std::move(call)}}};
  }
  json::object take(Choice& state, const chat::ToolCallArguments& event) const {
    const std::string piece = state.custom ? state.custom->feed(event.fragment) : event.fragment;
    if (!options_.stream) {
      state.arguments += piece;
      return {};
    }
    if (piece.empty()) return {};
    json::object called{{state.custom ? "input" : "arguments", piece}};
    json::object call{{"index", event.index}, {state.custom ? "custom" : "function", std::move(called)}};
    return {{"tool_calls", json::array{std::move(call)}}};
  }
  json::object take(Choice& state, const chat::ToolCallEnd&) const {
    if (!options_.stream && !state.tool_calls.empty()) {
      json::value& called = state.tool_calls.back().at(state.custom ? "custom" : "function");
      called.as_object()[state.custom ? "input" : "arguments"] = std::exchange(state.arguments, {});
    }
    return {};
  }

  json::object head(const char* kind) const {
    return {{"id", "chatcmpl-" + options_.id},
            {"object", kind},
            {"created", options_.created},
            {"model", options_.model},
            {"system_fingerprint", options_.fingerprint}};
  }

  std::string chunk(std::size_t choice, json::object delta, json::value finish_reason,
                    json::value logprobs = nullptr) const {
    json::object whole = head("chat.completion.chunk");
    if (!finish_reason.is_null() && !options_.include_usage) add_explanation(whole, explanation_);
    json::object entry{{"index", choice}, {"delta", std::move(delta)}};
    if (options_.logprobs) entry["logprobs"] = std::move(logprobs);
    entry["finish_reason"] = std::move(finish_reason);
    whole["choices"] = json::array{std::move(entry)};
    if (options_.include_usage) whole["usage"] = nullptr;
    return sse_data(whole);
  }

  ResponseOptions options_;
  std::vector<Choice> choices_;
  UsageSum usage_;
  std::optional<CacheExplanation> explanation_;
};

}  // namespace

std::unique_ptr<ResponseBuilder> make_openai_chat_response(ResponseOptions options) {
  return std::make_unique<OpenAiChatResponse>(std::move(options));
}

}  // namespace kvasir::api
