#include <CLI/CLI.hpp>
#include <cstdio>

#include "chat/tool_format.h"
#include "cli/commands.h"

namespace kvasir::cli {

void add_model_options(CLI::App& app, ModelOptions& options) {
  app.add_option("-m,--model", options.model,
                 "The model: a GGUF file, a folder of safetensors (Hugging Face, MLX), a name that 'kvasir "
                 "list' shows, or hf:ORG/REPO[:FILE], pulled before")
      ->required()
      ->type_name("PATH or NAME");
  app.add_option("--ctx", options.context,
                 "Most tokens of a conversation (default: from the model and memory)")
      ->type_name("TOKENS");
  app.add_option("--memory", options.memory,
                 "Most memory to take, weights included (default: from the machine)")
      ->transform(CLI::AsSizeValue(false))
      ->type_name("SIZE, like 6GB");
  app.add_option("--threads", options.threads, "Compute threads (default: every CPU)")
      ->check(CLI::Range(1U, 1024U));
  app.add_option(
         "--prompt-lookup", options.prompt_lookup,
         "Guess up to so many tokens of an answer from the conversation, where it repeats itself, and check "
         "them in one step: the same answer, sooner (0: never)")
      ->capture_default_str()
      ->check(CLI::Range(0U, 64U))
      ->type_name("TOKENS");
  app.add_option(
         "--precision", options.precision,
         "Of activations: standard is mostly 8 bits, high is 15 everywhere (logits as of 32-bit floats), "
         "auto takes high for small models, which lose most by 8")
      ->capture_default_str()
      ->check(CLI::IsMember({"auto", "standard", "high"}));
  app.add_option(
         "--kv-type", options.kv_type,
         "How keys and values are cached: f16 loses nothing that shows; bf16 takes the same memory for "
         "models whose keys are too large for f16, and is less precise; q8 takes about half the memory "
         "and changes some answers, more so with models whose keys have large biases, like Qwen2")
      ->capture_default_str()
      ->check(CLI::IsMember({"f16", "bf16", "q8"}));
  app.add_option("--chat-template", options.chat_template,
                 "A Jinja file to write prompts with, instead of the model's own chat template")
      ->type_name("FILE")
      ->check(CLI::ExistingFile);
  std::vector<std::string> formats = {"auto"};
  for (const chat::ToolFormat& format : chat::known_tool_formats()) formats.push_back(format.name);
  app.add_option("--tool-format", options.tool_format,
                 "How the model writes tool calls, where its chat template does not show it: auto finds it")
      ->capture_default_str()
      ->type_name("NAME")
      ->check(CLI::IsMember(formats));
}

models::Precision precision_of(const std::string& name) {
  if (name == "high") return models::Precision::kHigh;
  return name == "standard" ? models::Precision::kStandard : models::Precision::kAuto;
}

kernels::KvType kv_type_of(const std::string& name) {
  if (name == "bf16") return kernels::KvType::kBf16;
  return name == "q8" ? kernels::KvType::kQ8 : kernels::KvType::kF16;
}

int fail(const Error& error) {
  std::fprintf(stderr, "kvasir: %s\n", error.message.c_str());
  return 1;
}

}  // namespace kvasir::cli
