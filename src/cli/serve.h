#pragma once
// Serving, for both `kvasir serve` and `mlx_textgen serve`.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/load.h"

namespace kvasir::cli {

inline constexpr std::uint16_t kDefaultPort = 8081;

struct ServeOptions {
  ModelOptions model;
  ExecutorChoice executor;
  std::string host = "127.0.0.1";
  std::uint16_t port = kDefaultPort;
  std::vector<std::string> api_keys;  // empty: none is asked for
  // For requests that name none: these, else what the model's files say, else the server's own
  // (docs/decisions/0008-sampling-defaults.md).
  std::optional<float> temperature;
  std::optional<float> top_p;
  bool idle_prefill = true;
  std::string warm_file;                              // prompts to read at start; may be empty
  bool share_cache = false;                           // between keys
  std::string reasoning_field = "reasoning_content";  // or "reasoning", "both"
  std::vector<std::string> cors_origins;              // as server::Cors::create takes them
  std::vector<std::string> stop;                      // of every request, beside its own
  std::string model_name;                             // shown instead of the file's name
  std::string log_level = "info";
  bool log_requests = true;         // a line a request, from level info on
  std::string log_format = "text";  // or "json"
  std::string startup_note;         // said in one log line at start, where not empty
};

void add_serve_options(CLI::App& app, ServeOptions& options);

// Serves until SIGINT or SIGTERM. Exit code: 0 after a clean stop; 1, with one line on standard error, where
// the model cannot be opened, the port cannot be had, or loading fails.
int serve(const ServeOptions& options);

}  // namespace kvasir::cli
