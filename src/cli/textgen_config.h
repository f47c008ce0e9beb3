#pragma once
// MLX-Textgen 0.2.1's config file: the YAML that `mlx_textgen createconfig` writes and `mlx_textgen serve
// -cf` reads, with the same keys.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"

namespace kvasir::cli {

inline constexpr const char* kTextgenConfigName = "model_config.yaml";

struct TextgenModel {
  std::string path;
  std::string name;  // empty: the file's
  bool enable_cache = true;
  std::vector<std::string> extra_stop_words;
};

// What the file does not say keeps MLX-Textgen's own default.
struct TextgenConfig {
  std::vector<TextgenModel> models;  // at least one
  std::string host = "127.0.0.1";
  std::uint16_t port = 5001;
  std::vector<std::string> api_keys;
  std::uint32_t min_tokens = 20;
  std::uint32_t max_capacity = 50;
  std::vector<std::string> without_effect;  // keys that ask for something that means nothing here
};

// kNotFound, kIo or kInvalidArgument in one line that begins with the file and the line.
Result<TextgenConfig> read_textgen_config(const std::string& path);

// The text of a file for `models` models, with a word on what each key does here.
std::string textgen_config_text(std::uint32_t models);

}  // namespace kvasir::cli
