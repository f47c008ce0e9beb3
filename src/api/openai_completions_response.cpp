// OpenAI's text_completion object, whole and in chunks.

#include <cmath>
#include <utility>

#include "api/openai_usage.h"

namespace kvasir::api {
namespace {

namespace json = boost::json;

struct Choice {
  std::string text;
  std::size_t offset = 0;  // characters of the tokens so far, for text_offset
  json::array tokens;
  json::array token_logprobs;
  json::array top_logprobs;
  json::array text_offset;
  json::value finish_reason;
};

class OpenAiCompletionsResponse : public ResponseBuilder {
 public:
  OpenAiCompletionsResponse(ResponseOptions options, std::vector<std::string> echoes)
      : options_(std::move(options)),
        echoes_(std::move(echoes)),
        choices_(options_.choices),
        usage_(options_.answers_a_prompt) {}

  std::string opened() override {
    std::string out;
    for (std::size_t i = 0; i < echoes_.size(); ++i) {
      if (options_.stream) {
        out += chunk(i, echoes_[i], nullptr);
      } else {
        choices_[i].text = echoes_[i];
      }
    }
    return out;
  }

  void explain(const CacheExplanation& explanation) override { explanation_ = explanation; }
  std::string started(std::size_t, const engine::Started&) override { return {}; }

  std::string scored(std::size_t choice, const engine::Scored& scored) override {
    add_logprobs(choices_[choice], scored.tokens);
    return options_.stream ? chunk(choice, "", nullptr) : std::string();
  }

  std::string output(std::size_t choice, std::span<const chat::OutputEvent> events,
                     std::span<const engine::SampledToken> tokens) override {
    Choice& state = choices_[choice];
    if (options_.logprobs) add_logprobs(state, tokens);
    std::string text;
    for (const chat::OutputEvent& event : events) {
      if (const auto* delta = std::get_if<chat::TextDelta>(&event)) text += delta->text;
    }
    if (!options_.stream) {
      state.text += text;
      return {};
    }
    return text.empty() && state.tokens.empty() ? std::string() : chunk(choice, text, nullptr);
  }

  std::string finished(std::size_t choice, const engine::Finished& finished) override {
    usage_.add(choice, finished.usage);
    Choice& state = choices_[choice];
    state.finish_reason = finished.reason == engine::FinishReason::kLength ? "length" : "stop";
    return options_.stream ? chunk(choice, "", state.finish_reason) : std::string();
  }

  std::string ended() override {
    if (!options_.stream) return {};
    return stream_end(options_, head(), usage_, explanation_);
  }

  std::string keepalive() override { return options_.stream ? ": ping\n\n" : ""; }

  std::string failed(const Error& error) override {
    return options_.stream ? error_event(Dialect::kOpenAi, error) : std::string();
  }

  std::string body() override {
    json::array list;
    for (std::size_t i = 0; i < choices_.size(); ++i) {
      Choice& state = choices_[i];
      list.push_back(json::object{{"index", i},
                                  {"text", state.text},
                                  {"logprobs", take_logprobs(state)},
                                  {"finish_reason", state.finish_reason}});
    }
    json::object whole = head();
    whole["choices"] = std::move(list);
    whole["usage"] = usage_.json();
    add_explanation(whole, explanation_);
    return json::serialize(whole);
  }

 private:
  json::object head() const {
    return {{"id", "cmpl-" + options_.id},
            {"object", "text_completion"},
            {"created", options_.created},
            {"model", options_.model},
            {"system_fingerprint", options_.fingerprint}};
  }

  std::string chunk(std::size_t choice, const std::string& text, json::value finish_reason) {
    json::object whole = head();
    if (!finish_reason.is_null() && !options_.include_usage) add_explanation(whole, explanation_);
    whole["choices"] = json::array{json::object{{"index", choice},
                                                {"text", text},
                                                {"logprobs", take_logprobs(choices_[choice])},
                                                {"finish_reason", std::move(finish_reason)}}};
    if (options_.include_usage) whole["usage"] = nullptr;
    return sse_data(whole);
  }

  void add_logprobs(Choice& state, std::span<const engine::SampledToken> tokens) const {
    for (const engine::SampledToken& sampled : tokens) {
      const std::string text = token_text(options_, sampled.token);
      state.text_offset.push_back(state.offset);
      state.offset += text.size();
      state.tokens.push_back(json::string(text));
      if (std::isnan(sampled.logprob)) {  // nothing stands before it
        state.token_logprobs.push_back(nullptr);
        state.top_logprobs.push_back(nullptr);
        continue;
      }
      state.token_logprobs.push_back(finite_logprob(sampled.logprob));
      json::object top;
      for (const engine::TokenLogprob& other : sampled.top) {
        top[token_text(options_, other.token)] = finite_logprob(other.logprob);
      }
      state.top_logprobs.push_back(std::move(top));
    }
  }

  json::value take_logprobs(Choice& state) const {
    if (!options_.logprobs) return nullptr;
    return json::object{{"tokens", std::exchange(state.tokens, {})},
                        {"token_logprobs", std::exchange(state.token_logprobs, {})},
                        {"top_logprobs", std::exchange(state.top_logprobs, {})},
                        {"text_offset", std::exchange(state.text_offset, {})}};
  }

  ResponseOptions options_;
  std::vector<std::string> echoes_;
  std::vector<Choice> choices_;
  UsageSum usage_;
  std::optional<CacheExplanation> explanation_;
};

}  // namespace

std::unique_ptr<ResponseBuilder> make_openai_completions_response(ResponseOptions options,
                                                                  std::vector<std::string> echoes) {
  return std::make_unique<OpenAiCompletionsResponse>(std::move(options), std::move(echoes));
}

}  // namespace kvasir::api
