// The options of `kvasir serve`.

#include <CLI/CLI.hpp>

#include "cli/config_file.h"
#include "cli/serve.h"

namespace kvasir::cli {

void add_serve_options(CLI::App& app, ServeOptions& options) {
  add_model_options(app, options.model);
  add_cache_options(app, options.model.cache);
  app.add_option("-p,--port", options.port, "Port to listen on; 0 takes any free one")->capture_default_str();
  app.add_option("--host", options.host, "Address to listen on; 0.0.0.0 for every one")
      ->capture_default_str();
  app.add_option("--api-key", options.api_keys,
                 "Ask clients for this key (Bearer or x-api-key); give it several times for several keys. "
                 "What is cached under one key is not seen under another")
      ->allow_extra_args(false);
  app.add_flag("--share-cache", options.share_cache, "All keys share one cache");
  app.add_option(
         "--cors-origin", options.cors_origins,
         "Let web pages of this origin, like https://chat.example.org, use the server from a browser; "
         "give it several times for several. Pages of this machine (http://localhost:PORT) and desktop "
         "programs always may, unless it is none; * lets every page")
      ->type_name("ORIGIN")
      ->allow_extra_args(false);
  app.add_option(
         "--stop", options.stop,
         "Text at which every answer ends, beside what a request names; give it several times for several")
      ->type_name("TEXT")
      ->allow_extra_args(false);
  app.add_option("--model-name", options.model_name, "Name shown to clients (default: the file's)");
  app.add_flag(
      "--idle-prefill,!--no-idle-prefill", options.idle_prefill,
      "After an answer, read what the next request will begin with while there is nothing else to do");
  app.add_option("--warm", options.warm_file,
                 "Read these prompts at start: a file with one request body (OpenAI or Anthropic) a line")
      ->check(CLI::ExistingFile)
      ->type_name("FILE");
  app.add_option("--temperature", options.temperature,
                 "Of answers to requests that name none (default: the model's, else 0.7)")
      ->check(CLI::Range(0.0F, 2.0F));
  app.add_option("--top-p", options.top_p,
                 "Of answers to requests that name none (default: the model's, else 0.95)")
      ->check(CLI::Range(0.0F, 1.0F));
  app.add_option(
         "--reasoning-field", options.reasoning_field,
         "Where a chat answer has the model's thought: reasoning_content, reasoning, or both. Requests "
         "that use OpenRouter's fields get both")
      ->capture_default_str()
      ->type_name("NAME")
      ->check(CLI::IsMember({"reasoning_content", "reasoning", "both"}));
  app.add_flag("--log-requests,!--no-log-requests", options.log_requests,
               "One line a request: status, tokens, timings, client; nothing of what was said (default: on)");
  app.add_option("--log-format", options.log_format, "Of the lines for requests")
      ->capture_default_str()
      ->check(CLI::IsMember({"text", "json"}));
  app.add_option("--log-level", options.log_level, "How much to say")
      ->capture_default_str()
      ->check(CLI::IsMember({"trace", "debug", "info", "warn", "err", "off"}));
  app.add_option("--executor", options.executor.kind,
                 "native, or scripted: plays --script instead of a model")
      ->capture_default_str()
      ->check(CLI::IsMember({"native", "scripted"}))
      ->group("For tests and demonstrations");
  app.add_option("--script", options.executor.script, "What the scripted executor plays (JSON)")
      ->check(CLI::ExistingFile)
      ->group("For tests and demonstrations");
}

namespace {

struct ServeCommand {
  ServeOptions options;
  std::string config;      // path; empty: the default one, where it is there
  bool no_config = false;  // not even that
};

Status read_config(CLI::App& app, ServeCommand& command) {
  std::string path = command.config;
  if (path.empty() && !command.no_config) path = find_default_config().value_or("");
  if (path.empty()) return {};
  KVASIR_RETURN_IF_ERROR(apply_config(app, path));
  command.options.startup_note = "options from " + path;
  return {};
}

int run(CLI::App& app, ServeCommand& command) {
  constexpr int kWrongUsage = 2;
  if (const Status read = read_config(app, command); !read.ok()) {
    fail(read.error());
    return kWrongUsage;
  }
  const ServeOptions& options = command.options;
  if (options.model.model.empty()) {
    fail(make_error(ErrorCode::kInvalidArgument,
                    "no model is named: give -m PATH, or write model = \"PATH\" into " +
                        (command.config.empty() ? default_config_path() : command.config)));
    return kWrongUsage;
  }
  if (options.executor.kind == "scripted" && options.executor.script.empty())
    throw CLI::RequiredError("--script (with --executor scripted)");
  return serve(options);
}

}  // namespace

void add_serve(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("serve", "Serve a model over the OpenAI and Anthropic APIs");
  auto wish = std::make_shared<ServeCommand>();
  add_serve_options(*command, wish->options);
  command->get_option("--model")->required(false);  // the file may name it
  command
      ->add_option("--config", wish->config,
                   "A TOML file with these options by their long names: port = 8081. The command line goes "
                   "before it (default: " +
                       default_config_path() + ", where it is there)")
      ->type_name("FILE")
      ->configurable(false);
  command->add_flag("--no-config", wish->no_config, "Read no such file")->configurable(false);
  command->footer("A file with every option: docs/guides/configuration.md");
  command->callback([command, wish, &exit_code] { exit_code = run(*command, *wish); });
}

}  // namespace kvasir::cli
