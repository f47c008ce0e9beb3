#include "api/openai_fields.h"

#include <limits>

#include "api/sampling_fields.h"

namespace kvasir::api {
namespace {

namespace json = boost::json;

constexpr std::size_t kStopStringsMax = 16;
constexpr std::int64_t kAnswersMax = 128;

// Parts joined by line breaks, as the other servers of open models do it.
std::string parse_parts(const json::array& parts, const std::string& path, Media media) {
  std::string text;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const Fields part(parts[i], element_path(path, i));
    const std::string type = part.required_string("type");
    std::string piece;
    if (type == "text" || type == "input_text" || type == "output_text") {
      piece = part.required_string("text");
    } else if (type == "refusal") {
      piece = part.required_string("refusal");
    } else if (media == Media::kNote) {
      piece = "[" + type + " omitted: this model reads text only]";
    } else {
      field_error(part.path_of("type"), "\"" + type + "\" cannot be read: this model takes text only");
    }
    if (i > 0) text += '\n';
    text += piece;
  }
  return text;
}

}  // namespace

std::string parse_openai_content(const Fields& owner, std::string_view key, bool required, Media media) {
  const json::value* content = owner.find(key);
  if (content == nullptr) {
    if (required) field_error(owner.path_of(key), "is required: a string or a list of parts");
    return {};
  }
  if (content->is_string()) return to_string(*content);
  if (content->is_array()) return parse_parts(content->get_array(), owner.path_of(key), media);
  field_error(owner.path_of(key), "must be a string or a list of parts");
}

std::vector<std::string> parse_stop(const Fields& body, std::string_view key, std::size_t most) {
  std::vector<std::string> stop;
  const json::value* value = body.find(key);
  if (value == nullptr) return stop;
  const std::string path = body.path_of(key);
  if (value->is_string()) {
    if (!value->get_string().empty()) stop.push_back(to_string(*value));
    return stop;
  }
  if (!value->is_array()) field_error(path, "must be a string or a list of strings");
  const json::array& list = value->get_array();
  if (list.size() > most) field_error(path, "must be at most " + std::to_string(most) + " strings");
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (!list[i].is_string()) field_error(element_path(path, i), "must be a string");
    if (!list[i].get_string().empty()) stop.push_back(to_string(list[i]));
  }
  return stop;
}

GenerationOptions parse_openai_options(const Fields& body) {
  constexpr auto kAny = std::numeric_limits<std::int64_t>::max();
  GenerationOptions options;
  options.model = body.string("model").value_or("");
  options.sampling = parse_sampling(body);
  options.temperature_given = body.find("temperature") != nullptr;
  options.top_p_given = body.find("top_p") != nullptr;
  if (const auto seed = body.integer("seed", std::numeric_limits<std::int64_t>::min(), kAny)) {
    options.sampling.seed = static_cast<std::uint64_t>(*seed);
    options.seed_given = true;
  }
  options.stop = parse_stop(body, "stop", kStopStringsMax);
  options.n = static_cast<std::uint32_t>(body.integer("n", 1, kAnswersMax).value_or(1));
  options.stream = body.boolean("stream").value_or(false);
  if (const std::optional<Fields> stream = body.fields("stream_options")) {
    options.include_usage = stream->boolean("include_usage").value_or(false);
  }
  options.use_cache = body.boolean("cache_prompt").value_or(true);
  options.explain_cache = body.boolean("explain_cache").value_or(false);
  options.cache_salt = body.string("cache_salt").value_or("");
  options.cache_family = body.string("prompt_cache_key").value_or("");
  parse_ends(body, options);
  options.ignore_eos = body.boolean("ignore_eos").value_or(false);
  return options;
}

}  // namespace kvasir::api
