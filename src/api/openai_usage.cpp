#include "api/openai_usage.h"

#include <algorithm>
#include <cmath>

#include "text/tokenizer.h"

namespace kvasir::api {

namespace json = boost::json;

void UsageSum::add(std::size_t choice, const engine::Usage& usage) {
  const std::size_t index = choice / answers_a_prompt_;
  if (prompts_.size() <= index) prompts_.resize(index + 1);
  Prompt& prompt = prompts_[index];
  prompt.cached = prompt.seen ? std::min(prompt.cached, usage.cached_tokens) : usage.cached_tokens;
  prompt.tokens = usage.prompt_tokens;
  prompt.seen = true;
  completion_tokens_ += usage.completion_tokens;
}

void UsageSum::add_reasoning(std::uint32_t tokens) {
  reasoning_tokens_ = reasoning_tokens_.value_or(0) + tokens;
}

json::object UsageSum::json() const {
  std::uint64_t tokens = 0;
  std::uint64_t cached = 0;
  for (const Prompt& prompt : prompts_) {
    tokens += prompt.tokens;
    cached += prompt.cached;
  }
  json::object usage{{"prompt_tokens", tokens},
                     {"completion_tokens", completion_tokens_},
                     {"total_tokens", tokens + completion_tokens_},
                     {"prompt_tokens_details", json::object{{"cached_tokens", cached}}}};
  if (reasoning_tokens_)
    usage["completion_tokens_details"] = json::object{{"reasoning_tokens", *reasoning_tokens_}};
  return usage;
}

std::string token_text(const ResponseOptions& options, TokenId token) {
  text::StreamDecoder decoder;
  std::string text = decoder.feed(options.token_bytes(token));
  return text + decoder.finish();
}

double finite_logprob(float logprob) {
  constexpr double kFloor = -9999.0;
  return std::isfinite(logprob) ? static_cast<double>(logprob) : kFloor;
}

namespace {

json::object token_json(const ResponseOptions& options, TokenId token, float logprob) {
  json::array bytes;
  for (const char byte : options.token_bytes(token)) bytes.push_back(static_cast<unsigned char>(byte));
  return {{"token", token_text(options, token)},
          {"logprob", finite_logprob(logprob)},
          {"bytes", std::move(bytes)}};
}

}  // namespace

json::array logprobs_json(const ResponseOptions& options, std::span<const engine::SampledToken> tokens) {
  json::array list;
  for (const engine::SampledToken& sampled : tokens) {
    json::object entry = token_json(options, sampled.token, sampled.logprob);
    json::array top;
    for (const engine::TokenLogprob& other : sampled.top)
      top.push_back(token_json(options, other.token, other.logprob));
    entry["top_logprobs"] = std::move(top);
    list.push_back(std::move(entry));
  }
  return list;
}

std::string sse_data(const json::value& value) {
  return "data: " + json::serialize(value) + "\n\n";
}

void add_explanation(json::object& whole, const std::optional<CacheExplanation>& explanation) {
  if (explanation) whole["kvasir_cache"] = cache_json(*explanation);
}

std::string stream_end(const ResponseOptions& options, boost::json::object head, const UsageSum& usage,
                       const std::optional<CacheExplanation>& explanation) {
  std::string out;
  if (options.include_usage) {
    head["choices"] = boost::json::array();
    head["usage"] = usage.json();
    add_explanation(head, explanation);
    out = sse_data(head);
  }
  return out + "data: [DONE]\n\n";
}

}  // namespace kvasir::api
