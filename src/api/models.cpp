#include "api/models.h"

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
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
             {"id", model.alias.empty() ? model.id : model.alias},
             {"display_name", model.id},
             {"created_at", iso_time(model.created)},
             {"lifecycle", "active"}};
    if (model.context_length > 0) {
      entry["max_input_tokens"] = model.context_length;
      entry["max_tokens"] = model.context_length;
    }
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

Result<ModelPage> parse_model_page(const std::optional<std::string>& limit,
                                   const std::optional<std::string>& after_id,
                                   const std::optional<std::string>& before_id,
                                   std::span<const ModelEntry> models) {
  constexpr std::size_t kDefault = 20;
  constexpr std::size_t kMost = 1000;
  std::size_t most = kDefault;
  if (limit) {
    const auto [end, failed] = std::from_chars(limit->data(), limit->data() + limit->size(), most);
    const bool whole = failed == std::errc() && end == limit->data() + limit->size();
    if (!whole || most < 1 || most > kMost)
      return make_error(ErrorCode::kInvalidArgument, "limit: must be a whole number from 1 to 1000", "limit");
  }
  const auto place_of = [models](const std::string& key, const std::string& id) -> Result<std::size_t> {
    const auto found = std::ranges::find_if(
        models, [&](const ModelEntry& m) { return (m.alias.empty() ? m.id : m.alias) == id; });
    if (found != models.end()) return static_cast<std::size_t>(found - models.begin());
    return make_error(ErrorCode::kInvalidArgument, key + ": \"" + id + "\" is not in the list", key);
  };
  ModelPage page;
  if (before_id) {
    KVASIR_ASSIGN_OR_RETURN(const std::size_t end, place_of("before_id", *before_id));
    page.first = end - std::min(end, most);
    page.count = end - page.first;
    page.has_more = page.first > 0;
    return page;
  }
  if (after_id) {
    KVASIR_ASSIGN_OR_RETURN(page.first, place_of("after_id", *after_id));
    ++page.first;
  }
  page.count = std::min(most, models.size() - page.first);
  page.has_more = page.first + page.count < models.size();
  return page;
}

std::string models_body(Dialect dialect, std::span<const ModelEntry> models, const ModelPage& page) {
  json::array data;
  for (const ModelEntry& model : models.subspan(page.first, std::min(page.count, models.size() - page.first)))
    data.push_back(entry_json(dialect, model));
  if (dialect == Dialect::kOpenAi)
    return json::serialize(json::object{{"object", "list"}, {"data", std::move(data)}});
  json::value first = nullptr;
  json::value last = nullptr;
  if (!data.empty()) {
    first = data.front().at("id");
    last = data.back().at("id");
  }
  return json::serialize(json::object{{"data", std::move(data)},
                                      {"has_more", page.has_more},
                                      {"first_id", std::move(first)},
                                      {"last_id", std::move(last)}});
}

Error unknown_model(const std::string& asked, const std::string& available) {
  return make_error(ErrorCode::kNotFound,
                    "the model \"" + asked + "\" does not exist; this server has \"" + available + "\"",
                    "model");
}

}  // namespace kvasir::api
