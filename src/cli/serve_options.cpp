// The options of `kvasir serve`.

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

void add_serve(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("serve", "Serve a model over the OpenAI and Anthropic APIs");
  auto options = std::make_shared<ServeOptions>();
  add_serve_options(*command, *options);
  command->callback([options, &exit_code] {
    if (options->executor.kind == "scripted" && options->executor.script.empty()) {
      throw CLI::RequiredError("--script (with --executor scripted)");
    }
    exit_code = serve(*options);
  });
}

}  // namespace kvasir::cli
