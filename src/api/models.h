#pragma once
// GET /v1/models and /v1/models/{id}, in both APIs' shapes.

#include <cstdint>
#include <span>
#include <string>

#include "api/errors.h"

namespace kvasir::api {

struct ModelEntry {
  std::string id;
  std::int64_t created = 0;          // Unix seconds
  std::uint32_t context_length = 0;  // tokens; 0 = not known yet
};

std::string model_body(Dialect dialect, const ModelEntry& model);
std::string models_body(Dialect dialect, std::span<const ModelEntry> models);
// 404, naming what there is.
Error unknown_model(const std::string& asked, const std::string& available);

}  // namespace kvasir::api
