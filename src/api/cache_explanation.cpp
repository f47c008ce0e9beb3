#include "api/cache_explanation.h"

namespace kvasir::api {

namespace json = boost::json;

json::object cache_json(const CacheExplanation& e) {
  json::object object{{"prompt_tokens", e.prompt_tokens},
                      {"cached_tokens", e.cached_tokens},
                      {"loaded_tokens", e.loaded_tokens},
                      {"replayed_tokens", e.replayed_tokens},
                      {"new_from", nullptr}};
  if (!e.new_from.empty()) object["new_from"] = json::object{{"part", e.new_from}, {"what", e.what}};
  return object;
}

std::string cache_header(const CacheExplanation& e) {
  std::string text =
      "prompt=" + std::to_string(e.prompt_tokens) + " cached=" + std::to_string(e.cached_tokens) +
      " loaded=" + std::to_string(e.loaded_tokens) + " replayed=" + std::to_string(e.replayed_tokens);
  if (!e.new_from.empty()) text += " new_from=" + e.new_from;
  return text;
}

}  // namespace kvasir::api
