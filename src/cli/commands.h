#pragma once
// The commands of `kvasir`. Each adds its options to the CLI11 app it is given and returns the process's exit
// code when run: 0 success, 1 a failure that one line on standard error explains, 2 wrong usage.

#include <cstdint>
#include <memory>
#include <string>

#include "base/error.h"
#include "cli/cache_options.h"
#include "kernels/kv_type.h"
#include "models/model.h"

namespace CLI {
class App;
}

namespace kvasir::cli {

// What every command that loads a model takes.
struct ModelOptions {
  std::string model;          // path of a GGUF file or a folder, or a name (cli/load.h)
  std::uint32_t context = 0;  // 0: from the model and memory
  std::uint64_t memory = 0;   // bytes; 0: from the machine
  std::uint32_t threads = 0;  // 0: every CPU this process may use
  std::string precision = "auto";
  std::uint32_t prompt_lookup = 32;  // engine::EngineOptions'
  CacheOptions cache;
  std::string kv_type = "f16";
  std::string chat_template;         // path of a Jinja file; empty: the model's own
  std::string tool_format = "auto";  // or a name of chat::known_tool_formats()
};

models::Precision precision_of(const std::string& name);
kernels::KvType kv_type_of(const std::string& name);
void add_model_options(CLI::App& app, ModelOptions& options);

// Each registers a subcommand; `exit_code` receives its result once the app has been parsed.
void add_bench(CLI::App& app, int& exit_code);
void add_cache(CLI::App& app, int& exit_code);
void add_chat(CLI::App& app, int& exit_code);
void add_compare(CLI::App& app, int& exit_code);
void add_convert(CLI::App& app, int& exit_code);  // and quantize
void add_models(CLI::App& app, int& exit_code);
void add_pull(CLI::App& app, int& exit_code);
void add_run(CLI::App& app, int& exit_code);
void add_serve(CLI::App& app, int& exit_code);
void add_show(CLI::App& app, int& exit_code);

// Prints one line for a person and returns 1.
int fail(const Error& error);

}  // namespace kvasir::cli
