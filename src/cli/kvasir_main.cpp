// The `kvasir` program.

#include <CLI/CLI.hpp>

#include "base/version.h"
#include "cli/commands.h"
#include "cli/launch.h"
#include "text/pdf.h"

int main(int argc, char** argv) {
  if (const auto worked = kvasir::text::run_pdf_worker(argc, argv)) return *worked;
  CLI::App app(
      "Kvasir: a local LLM server that reads a prompt once. OpenAI and Anthropic APIs, tools, GGUF models.");
  app.set_version_flag("--version", std::string("kvasir ") + kvasir::kVersion);
  app.require_subcommand(1);
  app.footer(
      "Examples:\n"
      "  kvasir serve -m model.gguf -p 8081        serve on http://127.0.0.1:8081\n"
      "  kvasir claude -m model.gguf               Claude Code on it, started in the background\n"
      "  kvasir chat -m model.gguf                 talk in the terminal\n"
      "  kvasir run -m model.gguf \"Write a haiku\"  one answer\n"
      "  kvasir bench -m model.gguf                speed, as a share of this machine's limits\n"
      "  kvasir cache ls                           what is kept on disk\n"
      "  kvasir pull qwen2.5-coder                 get a model (also hf:ORG/REPO[:FILE])\n"
      "  kvasir quantize IN OUT.gguf --bits 4      fewer bits; also for MLX, and 'kvasir convert'\n"
      "  kvasir list                               the models on this machine\n"
      "  kvasir show model.gguf                    what is in one, and whether it fits\n"
      "'kvasir COMMAND --help' explains a command.");
  int exit_code = 0;
  kvasir::cli::add_serve(app, exit_code);
  kvasir::cli::add_launchers(app);
  kvasir::cli::add_service(app, exit_code);
  kvasir::cli::add_chat(app, exit_code);
  kvasir::cli::add_run(app, exit_code);
  kvasir::cli::add_bench(app, exit_code);
  kvasir::cli::add_cache(app, exit_code);
  kvasir::cli::add_pull(app, exit_code);
  kvasir::cli::add_show(app, exit_code);
  kvasir::cli::add_models(app, exit_code);
  kvasir::cli::add_convert(app, exit_code);
  kvasir::cli::add_compare(app, exit_code);
  if (const auto launched = kvasir::cli::launch({argv + 1, argv + argc})) return *launched;
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  return exit_code;
}
