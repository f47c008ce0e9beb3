#pragma once
// ANYCLAUDE_MODE and its companions, as the launcher anyclaude-local reads them: a user of it keeps the shell
// profile and gets Kvasir. Pure functions over a look-up of variables.
//
//   ANYCLAUDE_MODE                       variables                           port where no URL says
//   mlx-lm, mlx, mlx-textgen             MLX_LM_URL, _MODEL, _API_KEY        8081
//   vllm-mlx                             VLLM_MLX_URL, _MODEL, _API_KEY      8081
//   lmstudio                             LMSTUDIO_URL, _MODEL, _API_KEY      1234
//   local                                LOCAL_URL, _MODEL, _API_KEY         8082
//   claude                               none: the client runs unchanged, against the hosted API

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/error.h"

namespace kvasir::cli {

struct AnyclaudeChoice {
  bool hosted = false;  // the client as it is
  std::string host = "127.0.0.1";
  std::uint16_t port = 0;
  std::string model;  // a name or path; empty: none was named ("current-model" names none)
  std::string api_key;
};

using Variables = std::function<std::optional<std::string>(const std::string& name)>;

// nullopt where ANYCLAUDE_MODE is not set. kInvalidArgument for a mode or URL that has no meaning here.
Result<std::optional<AnyclaudeChoice>> anyclaude_choice(const Variables& variable);

}  // namespace kvasir::cli
