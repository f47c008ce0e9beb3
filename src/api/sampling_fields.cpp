#include "api/sampling_fields.h"

#include <charconv>
#include <limits>

namespace kvasir::api {
namespace {

namespace json = boost::json;

constexpr double kLargest = 1e9;
constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
constexpr std::size_t kBreakersMax = 64;
constexpr std::size_t kBreakerBytesMax = 256;
constexpr std::size_t kStopTokensMax = 256;

std::unordered_map<TokenId, float> parse_logit_bias(const Fields& body) {
  std::unordered_map<TokenId, float> biases;
  const std::optional<Fields> fields = body.fields("logit_bias");
  if (!fields) return biases;
  for (const auto& entry : fields->all()) {
    const std::string key(entry.key());
    TokenId token = kNoToken;
    const auto [end, failed] = std::from_chars(key.data(), key.data() + key.size(), token);
    if (failed != std::errc() || end != key.data() + key.size() || token < 0) {
      field_error(fields->path_of(key), "must be keyed by a token id");
    }
    const std::optional<double> bias = fields->number(key, -100, 100);
    if (bias) biases[token] = static_cast<float>(*bias);
  }
  return biases;
}

std::vector<std::string> breakers_of(const json::array& list, const std::string& path) {
  if (list.size() > kBreakersMax)
    field_error(path, "must be at most " + std::to_string(kBreakersMax) + " strings");
  std::vector<std::string> breakers;
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (!list[i].is_string() || list[i].get_string().empty() ||
        list[i].get_string().size() > kBreakerBytesMax) {
      field_error(element_path(path, i),
                  "must be a string of 1 to " + std::to_string(kBreakerBytesMax) + " bytes");
    }
    breakers.push_back(to_string(list[i]));
  }
  return breakers;
}

// A list of strings, or, as some front ends send it, the text of one.
std::optional<std::vector<std::string>> parse_breakers(const Fields& body) {
  const json::value* value = body.find("dry_sequence_breakers");
  if (value == nullptr) return std::nullopt;
  const std::string path = body.path_of("dry_sequence_breakers");
  if (value->is_array()) return breakers_of(value->get_array(), path);
  if (value->is_string()) {
    boost::system::error_code failed;
    const json::value parsed = json::parse(value->get_string(), failed);
    if (!failed && parsed.is_array()) return breakers_of(parsed.get_array(), path);
  }
  field_error(path, "must be a list of strings");
}

engine::DryParams parse_dry(const Fields& body) {
  engine::DryParams dry;
  if (const auto multiplier = body.number("dry_multiplier", 0, kLargest))
    dry.multiplier = static_cast<float>(*multiplier);
  if (const auto base = body.number("dry_base", 1, kLargest)) dry.base = static_cast<float>(*base);
  if (const auto length = body.integer("dry_allowed_length", 0, kMost))
    dry.allowed_length = static_cast<std::uint32_t>(*length);
  if (const auto tokens = body.integer("dry_penalty_last_n", -1, kMost))
    dry.penalty_last_n = static_cast<std::int32_t>(*tokens);
  if (auto breakers = parse_breakers(body)) dry.sequence_breakers = *std::move(breakers);
  return dry;
}

}  // namespace

engine::SamplingParams parse_sampling(const Fields& body) {
  engine::SamplingParams sampling;
  const auto set = [&body](std::string_view key, double least, double most, float& to) {
    if (const std::optional<double> value = body.number(key, least, most)) to = static_cast<float>(*value);
  };
  set("temperature", 0, 2, sampling.temperature);
  set("top_p", 0, 1, sampling.top_p);
  set("min_p", 0, 1, sampling.min_p);
  set("typical_p", 0, 1, sampling.typical_p);
  set("xtc_probability", 0, 1, sampling.xtc_probability);
  set("xtc_threshold", 0, 1, sampling.xtc_threshold);
  set("presence_penalty", -2, 2, sampling.presence_penalty);
  set("frequency_penalty", -2, 2, sampling.frequency_penalty);
  set("repetition_penalty", 0, kLargest, sampling.repetition_penalty);
  if (sampling.repetition_penalty == 0)
    field_error(body.path_of("repetition_penalty"), "must be more than 0");
  // -1 is how vLLM's clients say "off".
  if (const auto top_k = body.integer("top_k", -1, kMost)) {
    sampling.top_k = *top_k < 0 ? 0 : static_cast<std::int32_t>(*top_k);
  }
  sampling.dry = parse_dry(body);
  sampling.logit_bias = parse_logit_bias(body);
  return sampling;
}

void parse_ends(const Fields& body, GenerationOptions& options) {
  options.min_tokens = static_cast<std::uint32_t>(body.integer("min_tokens", 0, kMost).value_or(0));
  const json::array* tokens = body.array("stop_token_ids");
  if (tokens == nullptr) return;
  const std::string path = body.path_of("stop_token_ids");
  if (tokens->size() > kStopTokensMax)
    field_error(path, "must be at most " + std::to_string(kStopTokensMax) + " token ids");
  for (std::size_t i = 0; i < tokens->size(); ++i) {
    boost::system::error_code failed;
    const auto token = (*tokens)[i].to_number<TokenId>(failed);
    if (failed || token < 0) field_error(element_path(path, i), "must be a token id");
    options.stop_tokens.push_back(token);
  }
}

}  // namespace kvasir::api
