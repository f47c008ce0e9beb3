#include "api/models.h"

#include <boost/json.hpp>
#include <ctime>

namespace kvasir::api {
namespace {

namespace json = boost::json;

std::string iso_time(std::int64_t unix_seconds) {
  const auto seconds = static_cast<std::time_t>(unix_seconds);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

json::object entry_json(Dialect dialect, const ModelEntry& model) {
  json::object entry;
  if (dialect == Dialect::kAnthropic) {
    entry = {{"type", "model"},
             {"id", model.id},
             {"display_name", model.id},
             {"created_at", iso_time(model.created)}};
    if (model.context_length > 0) entry["max_input_tokens"] = model.context_length;
    return entry;
  }
  entry = {{"id", model.id}, {"object", "model"}, {"created", model.created}, {"owned_by", "kvasir"}};
  // As vLLM names it; agents size their context by it.
  if (model.context_length > 0) entry["max_model_len"] = model.context_length;
  return entry;
}

}  // namespace

std::string model_body(Dialect dialect, const ModelEntry& model) {
  return json::serialize(entry_json(dialect, model));
}

std::string models_body(Dialect dialect, std::span<const ModelEntry> models) {
  json::array data;
  for (const ModelEntry& model : models) data.push_back(entry_json(dialect, model));
  if (dialect == Dialect::kOpenAi)
    return json::serialize(json::object{{"object", "list"}, {"data", std::move(data)}});
  json::value first = nullptr;
  json::value last = nullptr;
  if (!models.empty()) {
    first = models.front().id;
    last = models.back().id;
  }
  return json::serialize(json::object{{"data", std::move(data)},
                                      {"has_more", false},
                                      {"first_id", std::move(first)},
                                      {"last_id", std::move(last)}});
}

Error unknown_model(const std::string& asked, const std::string& available) {
  return make_error(ErrorCode::kNotFound,
                    "the model \"" + asked + "\" does not exist; this server has \"" + available + "\"",
                    "model");
}

}  // namespace kvasir::api
