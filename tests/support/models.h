#pragma once
// Where the two real models are; `make test` puts them there first.

#include <cstdlib>
#include <string>

namespace kvasir::test {

inline std::string model_path(const std::string& file) {
  const char* folder = std::getenv("KVASIR_MODELS");
  const char* home = std::getenv("HOME");
  const std::string base =
      folder != nullptr ? folder : std::string(home != nullptr ? home : ".") + "/.cache/kvasir/models";
  return base + "/" + file;
}

inline std::string smollm2() {
  return model_path("smollm2-135m-instruct-q4_1.gguf");
}
inline std::string qwen_coder() {
  return model_path("qwen2.5-coder-0.5b-instruct-q4_k_m.gguf");
}

}  // namespace kvasir::test
