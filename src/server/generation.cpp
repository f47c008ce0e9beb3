#include "server/generation.h"

#include <algorithm>
#include <ctime>
#include <random>

#include "server/random_id.h"

namespace kvasir::server {
namespace {

std::uint64_t random_seed() {
  thread_local std::mt19937_64 generator{std::random_device{}()};
  return generator();
}

}  // namespace

Result<engine::Request> engine_request(const api::GenerationOptions& options, const ServerOptions& defaults,
                                       const std::vector<TokenId>& prompt, std::uint32_t answer,
                                       const LoadedModel& model, api::Dialect dialect) {
  const std::uint32_t context = model.engine->context_length();
  if (prompt.empty()) return make_error(ErrorCode::kInvalidArgument, "prompt: is empty", "prompt");
  if (prompt.size() >= context) return api::prompt_too_long(dialect, prompt.size(), context);
  engine::Request request;
  request.prompt = prompt;
  request.sampling = options.sampling;
  if (!options.temperature_given) request.sampling.temperature = defaults.temperature;
  if (!options.top_p_given) request.sampling.top_p = defaults.top_p;
  request.sampling.seed = (options.seed_given ? options.sampling.seed : random_seed()) + answer;
  const auto room = static_cast<std::uint32_t>(context - prompt.size());
  request.max_tokens = std::min(options.max_tokens.value_or(room), room);
  request.min_tokens = options.min_tokens;
  request.stop = options.stop;
  request.stop.insert(request.stop.end(), defaults.stop.begin(), defaults.stop.end());
  request.stop_tokens = options.stop_tokens;
  request.logprobs = options.logprobs;
  request.ignore_eos = options.ignore_eos;
  request.use_cache = options.use_cache;
  request.client = options.client;
  request.cache_namespace = options.cache_namespace;
  request.cache_family = options.cache_family;
  request.cache_ancestors = options.cache_ancestors;
  return request;
}

std::unique_ptr<chat::OutputParser> output_parser(const chat::Conversation& conversation,
                                                  const chat::TemplateTraits& traits,
                                                  const chat::RenderedPrompt& prompt,
                                                  const ParserWish& wish) {
  chat::OutputParserOptions options = chat::parser_options(traits, conversation);
  options.declared_only = wish.holds_calls;
  options.starts_in_reasoning = prompt.opens_reasoning;
  if (wish.thoughts_in_content) chat::leave_thoughts_in_text(options);
  options.starts_in_call = prompt.opens_call;
  if (traits.format.ids == chat::IdRule::kNine) {
    constexpr std::size_t kNine = 9;
    options.make_id = [] { return random_id().substr(0, kNine); };
    return std::make_unique<chat::OutputParser>(std::move(options));
  }
  options.make_id = [prefix = wish.dialect == api::Dialect::kAnthropic ? "toolu_" : "call_"] {
    return prefix + random_id();
  };
  return std::make_unique<chat::OutputParser>(std::move(options));
}

api::ResponseOptions response_options(const api::GenerationOptions& options, const ServerOptions& defaults,
                                      const LoadedModel& model, const std::string& model_id,
                                      std::size_t choices) {
  api::ResponseOptions r;
  r.id = random_id();
  r.created = static_cast<std::int64_t>(std::time(nullptr));
  r.model = options.model.empty() ? model_id : options.model;
  r.fingerprint = model.fingerprint;
  r.stream = options.stream;
  r.include_usage = options.include_usage;
  r.choices = static_cast<std::uint32_t>(choices);
  r.answers_a_prompt = options.n;
  r.logprobs = options.logprobs;
  r.thoughts = options.thoughts.hidden         ? api::ThoughtField::kHidden
               : options.thoughts.as_reasoning ? api::ThoughtField::kBoth
                                               : defaults.thoughts;
  r.token_bytes = [tokenizer = model.tokenizer](TokenId token) { return tokenizer->bytes(token); };
  return r;
}

}  // namespace kvasir::server
