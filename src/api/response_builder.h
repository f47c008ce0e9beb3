#pragma once
// Engine and chat events -> the bytes of one API's answer. A builder serves a whole request: all its prompts
// and answers (`choice` counts through them). Streamed and whole answers come from the same events: a
// streaming builder returns SSE bytes to send at once, the other returns nothing until body().
//
// Order of calls: opened; explain, where the client asks for it; then for each choice started, output...,
// finished; then ended and body. failed may come at any time after opened and ends the answer. One builder a
// request; not thread-safe.

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "api/anthropic_wishes.h"
#include "api/cache_explanation.h"
#include "api/errors.h"
#include "api/generation.h"
#include "chat/conversation.h"
#include "engine/engine.h"

namespace kvasir::api {

// The bytes that a token stands for, valid while the function's owner lives.
using TokenBytes = std::function<std::string_view(TokenId)>;

// Where a chat answer has its thought; `reasoning_content` is DeepSeek's and llama.cpp's name, `reasoning`
// OpenRouter's and vLLM's.
enum class ThoughtField { kReasoningContent, kReasoning, kBoth, kHidden };

struct ResponseOptions {
  std::string id;            // without the API's prefix: random letters and digits
  std::int64_t created = 0;  // Unix seconds
  std::string model;         // as the answer names it
  std::string fingerprint;   // of weights and build
  bool stream = false;
  bool include_usage = false;
  std::uint32_t choices = 1;  // prompts * answers each
  std::uint32_t answers_a_prompt = 1;
  std::optional<std::uint32_t> logprobs;
  TokenBytes token_bytes;
  ThoughtField thoughts = ThoughtField::kReasoningContent;
  ToolOrigins tool_origins;
};

class ResponseBuilder {
 public:
  virtual ~ResponseBuilder() = default;
  // The headers have been sent.
  virtual std::string opened() = 0;
  virtual void explain(const CacheExplanation& explanation) = 0;
  virtual std::string started(std::size_t choice, const engine::Started& started) = 0;
  virtual std::string output(std::size_t choice, std::span<const chat::OutputEvent> events,
                             std::span<const engine::SampledToken> tokens) = 0;
  // Where the prompt's log-probabilities were asked for.
  virtual std::string scored(std::size_t choice, const engine::Scored& scored) {
    (void)choice;
    (void)scored;
    return {};
  }
  // Before finished: how many of the choice's tokens were a thought's.
  virtual void reasoned(std::size_t choice, std::uint32_t tokens) {
    (void)choice;
    (void)tokens;
  }
  virtual std::string finished(std::size_t choice, const engine::Finished& finished) = 0;
  virtual std::string ended() = 0;
  // Said when nothing else has been for a while.
  virtual std::string keepalive() = 0;
  virtual std::string failed(const Error& error) = 0;
  virtual std::string body() = 0;
};

std::unique_ptr<ResponseBuilder> make_openai_chat_response(ResponseOptions options);
// `echoes`: text put before each choice's own; empty or one a choice.
std::unique_ptr<ResponseBuilder> make_openai_completions_response(ResponseOptions options,
                                                                  std::vector<std::string> echoes);
// The id by which a client names an answer in a later request; `id` as in ResponseOptions.
std::string anthropic_message_id(const std::string& id);
std::unique_ptr<ResponseBuilder> make_anthropic_response(ResponseOptions options, AnthropicNotes notes = {});

}  // namespace kvasir::api
