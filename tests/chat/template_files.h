#pragma once
// The chat templates of some seventy models, from the source package of llama-cpp-python
// (tools/fetch_templates.py), over Qwen's vocabulary.

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>

#include "chat/prompt.h"
#include "text/models.h"

namespace kvasir::chat {

inline std::string template_folder() {
  const char* peers = std::getenv("KVASIR_PEERS");
  const char* home = std::getenv("HOME");
  const std::string base =
      peers != nullptr ? peers : std::string(home != nullptr ? home : "") + "/.cache/kvasir/peers";
  return base + "/templates-0.3.36";
}

inline std::set<std::string> template_names() {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(template_folder()))
    names.insert(entry.path().stem().string());
  return names;
}

inline PromptRenderer renderer_of(const std::string& name) {
  std::ifstream file(template_folder() + "/" + name + ".jinja");
  std::stringstream source;
  source << file.rdbuf();
  auto compiled = text::ChatTemplate::compile(source.str());
  EXPECT_TRUE(compiled.ok()) << name << ": " << (compiled.ok() ? "" : compiled.error().message);
  return PromptRenderer(*compiled, text::qwen().tokenizer, 0);
}

}  // namespace kvasir::chat
