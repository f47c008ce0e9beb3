// `mlx_textgen`: the command line of MLX-Textgen 0.2.1's `serve` and `createconfig`, on Kvasir. What has no
// meaning here yet is accepted and named in one log line.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "base/version.h"
#include "cli/serve.h"
#include "cli/textgen_config.h"
#include "text/pdf.h"

namespace kvasir::cli {
namespace {

struct TextgenOptions {
  ServeOptions serve;
  std::string tokenizer_path, revision, config_file;
  std::uint32_t max_reprocess_tokens = 250;
  double replace_threshold = 0.95;
  std::string api_key;
  bool use_reasoning_content = false;
};

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

void add_note(ServeOptions& serve, const std::string& sentence) {
  serve.startup_note += (serve.startup_note.empty() ? "" : "; ") + sentence;
}

// What the command line says goes before the file.
void take_config(const TextgenConfig& config, const CLI::App& command, ServeOptions& serve) {
  const auto free = [&command](const char* option) { return command.get_option(option)->count() == 0; };
  const TextgenModel& model = config.models.front();
  serve.model.model = model.path;
  if (free("--model-name")) serve.model_name = model.name;
  if (free("--host")) serve.host = config.host;
  if (free("--port")) serve.port = config.port;
  if (free("--api-key")) serve.api_keys = config.api_keys;
  if (free("--min-tokens")) serve.model.cache.min_tokens = config.min_tokens;
  if (free("--max-capacity")) serve.model.cache.most_conversations = config.max_capacity;
  if (!model.enable_cache) serve.model.cache.disk_bytes = 0;
  serve.stop = model.extra_stop_words;
  if (!config.without_effect.empty())
    add_note(serve, joined(config.without_effect) + ": accepted, without effect here");
  std::vector<std::string> others;
  for (auto other = config.models.begin() + 1; other != config.models.end(); ++other)
    others.push_back(other->path);
  if (!others.empty())
    add_note(serve, "one model is served, " + model.path + "; not served: " + joined(others));
}

int run_serve(const CLI::App& command, const std::vector<CLI::Option*>& idle, TextgenOptions& o) {
  std::vector<std::string> names;
  for (const CLI::Option* option : idle) {
    if (option->count() > 0) names.push_back(option->get_name());
  }
  if (!o.api_key.empty()) o.serve.api_keys.push_back(o.api_key);
  if (o.serve.model.model.empty()) {
    const auto config = read_textgen_config(o.config_file);
    if (!config.ok()) return fail(config.error());
    take_config(*config, command, o.serve);
  } else if (!o.config_file.empty()) {
    names.push_back("--config-file (a model is given)");
  }
  if (!names.empty()) add_note(o.serve, joined(names) + ": accepted, without effect here");
  return serve(o.serve);
}

void add_textgen_serve(CLI::App& app, TextgenOptions& o, int& exit_code) {
  CLI::App* command = app.add_subcommand("serve", "Serve a model over the OpenAI and Anthropic APIs");
  o.serve.port = 5001;
  o.serve.model.cache.min_tokens = 20;
  o.serve.model.cache.most_conversations = 50;
  command->add_option("-m,--model-path", o.serve.model.model,
                      "The model: an MLX or Hugging Face folder, or a GGUF file");
  command->add_option(
      "--config-file", o.config_file,
      "-cf for short. The YAML that 'mlx_textgen createconfig' writes, instead of a model; other "
      "options given go before it");
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
  const std::vector<CLI::Option*> idle{
      command->add_option("--tokenizer-path", o.tokenizer_path, "The tokenizer comes with the model"),
      command->add_option("--revision", o.revision, "Of a hub model"),
      command->add_option("--max-reprocess-tokens", o.max_reprocess_tokens,
                          "Prefixes are matched to the token: nothing cached is read again"),
      command->add_option("--replace-threshold", o.replace_threshold,
                          "Conversations share their prefixes; none replaces another"),
      command->add_flag("--use-reasoning-content", o.use_reasoning_content, "Always on")};
  for (CLI::Option* option : idle) option->group("Accepted, without effect here");
  command->callback([command, idle, &o, &exit_code] {
    if (o.serve.model.model.empty() && o.config_file.empty())
      throw CLI::RequiredError("-m,--model-path or -cf,--config-file");
    exit_code = run_serve(*command, idle, o);
  });
}

int create_config(std::uint32_t models) {
  if (std::filesystem::exists(kTextgenConfigName)) {
    return fail(make_error(ErrorCode::kInvalidArgument,
                           std::string(kTextgenConfigName) + " is here already; move it away first"));
  }
  std::ofstream file(kTextgenConfigName, std::ios::binary);
  file << textgen_config_text(models);
  if (!file.flush())
    return fail(make_error(ErrorCode::kIo, std::string(kTextgenConfigName) + " cannot be written"));
  std::printf("wrote %s; fill in the model, then: mlx_textgen serve -cf %s\n", kTextgenConfigName,
              kTextgenConfigName);
  return 0;
}

void add_create_config(CLI::App& app, std::uint32_t& models, int& exit_code) {
  constexpr std::uint32_t kMost = 1000;
  CLI::App* command = app.add_subcommand(
      "createconfig", "Write an example " + std::string(kTextgenConfigName) + " into this folder");
  command->add_option("-n,--num-models", models, "How many models the example has")
      ->capture_default_str()
      ->check(CLI::Range(1U, kMost));
  command->callback([&models, &exit_code] { exit_code = create_config(models); });
}

int run(std::vector<std::string> arguments) {
  CLI::App app("mlx_textgen's command line, served by Kvasir. 'kvasir --help' knows more.");
  app.set_version_flag("--version", std::string("mlx_textgen (kvasir ") + kVersion + ")");
  app.require_subcommand(1);
  int exit_code = 0;
  TextgenOptions options;
  std::uint32_t models = 1;
  add_textgen_serve(app, options, exit_code);
  add_create_config(app, models, exit_code);
  // MLX-Textgen spells this short option with two letters, which CLI11 does not have.
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

}  // namespace
}  // namespace kvasir::cli

int main(int argc, char** argv) {
  if (const auto worked = kvasir::text::run_pdf_worker(argc, argv)) return *worked;
  return kvasir::cli::run({argv + 1, argv + argc});
}
