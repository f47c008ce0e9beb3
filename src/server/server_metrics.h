#pragma once
// What the server counts, written under vLLM's metric names where they exist.

#include <atomic>
#include <cstdint>
#include <string>

#include "base/metrics.h"
#include "engine/engine.h"

namespace kvasir::server {

struct ServerMetrics {
  Histogram first_token_seconds{{0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100}};
  Histogram request_seconds{{0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300}};
  Histogram token_seconds{{0.003, 0.01, 0.02, 0.03, 0.05, 0.1, 0.3, 1}};
  std::atomic<std::uint64_t> http_requests{0};
  std::atomic<std::uint64_t> replayed_tokens{0};
  std::atomic<std::uint64_t> foreign_thoughts{0};

  // `engine`: null while the model is loading.
  std::string text(const engine::Engine* engine) const;
};

}  // namespace kvasir::server
