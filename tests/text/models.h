#pragma once
// The real models that these tests read. `make test` fetches them first; a missing one is a failure.

#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <string>

#include "text/tokenizer.h"
#include "weights/gguf.h"

namespace kvasir::text {

inline constexpr const char* kQwen = "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf";
inline constexpr const char* kSmol = "smollm2-135m-instruct-q4_1.gguf";

inline std::string model_path(const std::string& file) {
  const char* folder = std::getenv("KVASIR_MODELS");
  const char* home = std::getenv("HOME");
  const std::string base =
      folder != nullptr ? folder : std::string(home != nullptr ? home : "") + "/.cache/kvasir/models";
  return base + "/" + file;
}

// Each model is opened once a test program.
struct Model {
  std::shared_ptr<const weights::GgufFile> file;
  std::shared_ptr<const Tokenizer> tokenizer;
};

inline Model load_model(const std::string& name) {
  const std::string path = model_path(name);
  auto file = weights::GgufFile::open(path);
  if (!file.ok()) {
    ADD_FAILURE() << "test model " << path << " cannot be read (" << file.error().message
                  << "): run `make models`, or set KVASIR_MODELS";
    return {};
  }
  auto tokenizer = Tokenizer::from_checkpoint(**file);
  if (!tokenizer.ok()) {
    ADD_FAILURE() << path << ": " << tokenizer.error().message;
    return {};
  }
  return {*file, *tokenizer};
}

inline const Model& qwen() {
  static const Model model = load_model(kQwen);
  return model;
}

inline const Model& smol() {
  static const Model model = load_model(kSmol);
  return model;
}

}  // namespace kvasir::text

// Stops the test where the model is missing; load_model has said so.
#define KVASIR_REQUIRE_MODEL(model) ASSERT_NE((model).tokenizer, nullptr) << "needs a test model"
