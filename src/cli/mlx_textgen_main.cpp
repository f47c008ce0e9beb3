// `mlx_textgen`: the command line of MLX-Textgen 0.2.1's `serve`, on Kvasir. What has no meaning here yet is
// accepted and named in one log line.

#include <spdlog/spdlog.h>

#include "base/version.h"
#include "cli/serve.h"

namespace {

struct TextgenOptions {
  kvasir::cli::ServeOptions serve;
  std::string tokenizer_path, revision, config_file;
  std::uint32_t max_reprocess_tokens = 250;
  double replace_threshold = 0.95;
  std::string api_key;
  bool use_reasoning_content = false;
};

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("mlx_textgen's command line, served by Kvasir. 'kvasir --help' knows more.");
  app.set_version_flag("--version", std::string("mlx_textgen (kvasir ") + kvasir::kVersion + ")");
  app.require_subcommand(1);
  CLI::App* command = app.add_subcommand("serve", "Serve a model over the OpenAI and Anthropic APIs");
  TextgenOptions o;
  o.serve.port = 5001;
  o.serve.model.cache.min_tokens = 20;
  o.serve.model.cache.most_conversations = 50;
  command->add_option("-m,--model-path", o.serve.model.model,
                      "The model: an MLX or Hugging Face folder, or a GGUF file");
  command->add_option("-p,--port", o.serve.port, "Port to listen on")->capture_default_str();
  command->add_option("--host", o.serve.host, "Address to listen on")->capture_default_str();
  command->add_option("--api-key", o.api_key, "Ask clients for this key");
  command->add_option("--model-name", o.serve.model_name, "Name shown to clients");
  command
      ->add_option("--min-tokens", o.serve.model.cache.min_tokens,
                   "Shorter conversations are not kept on disk")
      ->capture_default_str();
  command
      ->add_option("--max-capacity", o.serve.model.cache.most_conversations,
                   "Most conversations kept on disk; what they share stays")
      ->capture_default_str();
  const char* group = "Accepted, without effect here";
  std::vector<CLI::Option*> idle{
      command->add_option("--tokenizer-path", o.tokenizer_path, "The tokenizer comes with the model"),
      command->add_option("--revision", o.revision, "Of a hub model"),
      command->add_option("-c,--config-file", o.config_file, "MLX-Textgen's YAML"),
      command->add_option("--max-reprocess-tokens", o.max_reprocess_tokens,
                          "Prefixes are matched to the token: nothing cached is read again"),
      command->add_option("--replace-threshold", o.replace_threshold,
                          "Conversations share their prefixes; none replaces another"),
      command->add_flag("--use-reasoning-content", o.use_reasoning_content, "Always on")};
  for (CLI::Option* option : idle) option->group(group);
  int exit_code = 0;
  command->callback([&] {
    if (o.serve.model.model.empty()) throw CLI::RequiredError("-m,--model-path");
    std::string names;
    for (const CLI::Option* option : idle) {
      if (option->count() > 0) names += (names.empty() ? "" : ", ") + option->get_name();
    }
    if (!o.api_key.empty()) o.serve.api_keys.push_back(o.api_key);
    o.serve.startup_note = names.empty() ? "" : names + ": accepted, without effect here";
    exit_code = kvasir::cli::serve(o.serve);
  });
  // MLX-Textgen spells this short option with two letters, which CLI11 does not have.
  std::vector<std::string> arguments(argv + 1, argv + argc);
  for (std::string& a : arguments) {
    if (a == "-cf") a = "--config-file";
  }
  std::reverse(arguments.begin(), arguments.end());
  try {
    app.parse(std::move(arguments));
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  return exit_code;
}
