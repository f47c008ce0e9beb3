#pragma once
// GET /v1/models and /v1/models/{id}, in both APIs' shapes.

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>

#include "api/errors.h"
#include "base/error.h"

namespace kvasir::api {

struct ModelEntry {
  std::string id;
  std::int64_t created = 0;          // Unix seconds
  std::uint32_t context_length = 0;  // tokens; 0 = not known yet
  std::string alias = {};            // shown as its id instead, where not empty
};

std::string model_body(Dialect dialect, const ModelEntry& model);

// Which of a list's models Anthropic's answer shows: those of [first, first + count).
struct ModelPage {
  std::size_t first = 0;
  std::size_t count = std::numeric_limits<std::size_t>::max();
  bool has_more = false;  // in the direction asked for
};
// From the URL's parameters of these names. kInvalidArgument where one is wrong.
Result<ModelPage> parse_model_page(const std::optional<std::string>& limit,
                                   const std::optional<std::string>& after_id,
                                   const std::optional<std::string>& before_id,
                                   std::span<const ModelEntry> models);
std::string models_body(Dialect dialect, std::span<const ModelEntry> models, const ModelPage& page = {});
// 404, naming what there is.
Error unknown_model(const std::string& asked, const std::string& available);

}  // namespace kvasir::api
