// `kvasir list` and `kvasir rm`: the models on this machine.

#include <fmt/format.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <boost/json.hpp>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <iostream>

#include "cli/commands.h"
#include "cli/model_store.h"

namespace kvasir::cli {
namespace {

struct ListOptions {
  bool json = false;
};

struct RemoveOptions {
  std::vector<std::string> names;
  bool yes = false;
};

std::int64_t unix_seconds(std::filesystem::file_time_type time) {
  const auto since = std::chrono::file_clock::to_sys(time).time_since_epoch();
  return std::chrono::duration_cast<std::chrono::seconds>(since).count();
}

std::string local_day(std::filesystem::file_time_type written) {
  const auto time = static_cast<std::time_t>(unix_seconds(written));
  std::tm parts{};
  localtime_r(&time, &parts);
  char text[32];
  std::strftime(text, sizeof(text), "%Y-%m-%d", &parts);
  return text;
}

int list(const ListOptions& options) {
  const std::vector<InstalledModel> models = installed_models();
  if (options.json) {
    boost::json::array out;
    for (const InstalledModel& m : models) {
      out.push_back({{"name", m.name},
                     {"alias", m.alias.empty() ? boost::json::value(nullptr) : boost::json::value(m.alias)},
                     {"path", m.path},
                     {"format", m.format},
                     {"bytes", m.bytes},
                     {"written", unix_seconds(m.written)}});
    }
    fmt::print("{}\n", boost::json::serialize(out));
    return 0;
  }
  if (models.empty()) {
    fmt::print("no models in {} or {}; 'kvasir pull NAME' gets one ('kvasir pull --help')\n", models_folder(),
               hub::default_hub_cache());
    return 0;
  }
  std::size_t width = 4;
  for (const InstalledModel& m : models) width = std::max(width, m.name.size());
  fmt::print("{:<{}}  {:>9}  {:<11}  {:<10}  {}\n", "name", width, "size", "format", "written", "also");
  for (const InstalledModel& m : models) {
    const std::string line = fmt::format("{:<{}}  {:>9}  {:<11}  {:<10}  {}", m.name, width,
                                         size_text(m.bytes), m.format, local_day(m.written), m.alias);
    fmt::print("{}\n", line.substr(0, line.find_last_not_of(' ') + 1));
  }
  return 0;
}

bool confirmed(const InstalledModel& model) {
  fmt::print("remove {} ({}, frees {})? [y/N] ", model.name, model.path,
             size_text(bytes_freed_by_removing(model)));
  std::fflush(stdout);
  std::string answer;
  std::getline(std::cin, answer);
  return answer == "y" || answer == "Y" || answer == "yes";
}

int remove(const RemoveOptions& options) {
  for (const std::string& name : options.names) {
    const auto model = find_installed(name);
    if (!model) {
      return fail(make_error(ErrorCode::kNotFound,
                             "no model '" + name + "' is here; 'kvasir list' shows those that are", name));
    }
    if (!options.yes) {
      if (::isatty(STDIN_FILENO) != 1) {
        return fail(make_error(
            ErrorCode::kInvalidArgument,
            "not removing " + model->name + " unasked: there is no terminal; --yes says so", name));
      }
      if (!confirmed(*model)) {
        fmt::print("kept {}\n", model->name);
        continue;
      }
    }
    const std::uint64_t freed = bytes_freed_by_removing(*model);
    if (const Status removed = remove_installed(*model); !removed.ok()) return fail(removed.error());
    fmt::print("removed {}, {} freed\n", model->name, size_text(freed));
  }
  return 0;
}

}  // namespace

void add_models(CLI::App& app, int& exit_code) {
  CLI::App* list_command =
      app.add_subcommand("list", "The models on this machine, by the names that -m takes");
  list_command->footer(
      "Looked for in the models folder (KVASIR_MODELS, else ~/.cache/kvasir/models) and in the hub's cache\n"
      "(HF_HUB_CACHE, HF_HOME/hub, else ~/.cache/huggingface/hub), which other programs share.");
  auto listed = std::make_shared<ListOptions>();
  list_command->add_flag("--json", listed->json, "One JSON array instead of a table");
  list_command->callback([listed, &exit_code] { exit_code = list(*listed); });

  CLI::App* remove_command = app.add_subcommand("rm", "Remove models from this machine");
  remove_command->footer(
      "Of the hub's cache, a file's contents go with the last snapshot that has it.\n"
      "Example:\n"
      "  kvasir rm hf:Qwen/Qwen3-0.6B-GGUF:Q8_0");
  auto removed = std::make_shared<RemoveOptions>();
  remove_command->add_option("name", removed->names, "Names that 'kvasir list' shows, or paths of such")
      ->required()
      ->type_name("NAME");
  remove_command->add_flag("-y,--yes", removed->yes, "Do not ask");
  remove_command->callback([removed, &exit_code] { exit_code = remove(*removed); });
}

}  // namespace kvasir::cli
