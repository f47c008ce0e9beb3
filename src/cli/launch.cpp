// `kvasir claude`, `codex`, `opencode`, `qwen`: a coding agent on a server of ours, in one command; and
// `kvasir env`, which prints what they would set.

#include "cli/launch.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "cli/anyclaude.h"
#include "cli/background_server.h"
#include "cli/client_settings.h"
#include "cli/config_file.h"
#include "cli/launch_arguments.h"
#include "cli/load.h"

namespace kvasir::cli {
namespace {

constexpr const char* kDefaultModel = "qwen2.5-coder";

constexpr const char* kHelp =
    "Runs {program} with this server. If none answers on the port, 'kvasir serve' is started in the\n"
    "background with the options given here, and stays when {program} ends.\n\n"
    "  -m,--model PATH      the model to serve (without it: the one that runs already, else KVASIR_MODEL,\n"
    "                       else the config file's, else qwen2.5-coder)\n"
    "  --port N             where the server is (default: 8081)\n"
    "  --api-key KEY        the server's key (default: KVASIR_API_KEY, else the running server's)\n"
    "  and all else that 'kvasir serve --help' lists, by its long name.\n\n"
    "From the first word on that is no such option, or behind '--', everything goes to {program} "
    "unchanged:\n\n"
    "  kvasir {name}\n"
    "  kvasir {name} -m model.gguf --ctx 65536 --memory 8GB\n"
    "  kvasir {name} -m model.gguf -p 9000 -- --help      -p is the server's before a '--', else "
    "{program}'s\n\n"
    "'kvasir service --help' tells how to stop a server, and how to have it started with the session.\n";

constexpr const char* kEnvHelp =
    "Prints the variables for a client as lines for a shell. The server is looked for, not started.\n\n"
    "  kvasir env [--json|--fish] claude|codex|opencode|qwen [--port N] [--api-key KEY]\n\n"
    "  eval \"$(kvasir env claude)\" && claude\n"
    "  kvasir env --fish claude | source\n";

std::string replaced(std::string text, const std::string& what, const std::string& with) {
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += with.size())
    text.replace(at, what.size(), with);
  return text;
}

std::string help_of(const Client& client) {
  return replaced(replaced(kHelp, "{program}", client.title), "{name}", client.name);
}

std::string absolute(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::absolute(path, ignored).string();
}

// The server that the options, ANYCLAUDE_* and KVASIR_* ask for, in this order.
class Wish {
 public:
  Wish() : app_("kvasir serve") {
    add_serve_options(app_, wanted_.options);
    app_.get_option("--model")->required(false);
  }

  const CLI::App& options() const { return app_; }

  // Throws CLI::ParseError. An error is the config file's, which the server would read as well.
  Result<WantedServer> resolve(std::vector<std::string> words, const std::optional<AnyclaudeChoice>& choice) {
    wanted_.arguments = words;
    std::reverse(words.begin(), words.end());
    app_.parse(std::move(words));
    const bool model_given = given("--model");
    const bool port_given = given("--port");
    if (const auto config = find_default_config()) KVASIR_RETURN_IF_ERROR(apply_config(app_, *config));
    if (choice) apply(*choice);
    choose_model(choice, model_given);
    if (!port_given) add("--port", std::to_string(wanted_.options.port));
    return wanted_;
  }

 private:
  bool given(const std::string& option) const { return app_.get_option(option)->count() > 0; }

  void add(const std::string& option, const std::string& value) {
    wanted_.arguments.insert(wanted_.arguments.end(), {option, value});
  }

  void apply(const AnyclaudeChoice& choice) {
    if (!given("--port")) wanted_.options.port = choice.port;
    if (!given("--host")) {
      wanted_.options.host = choice.host;
      // A server of another machine can be used, not started.
      wanted_.may_start = choice.host.starts_with("127.");
    }
    if (!given("--api-key") && !choice.api_key.empty()) {
      wanted_.options.api_keys = {choice.api_key};
      add("--api-key", choice.api_key);
    }
  }

  // What the command line or ANYCLAUDE_* name must be served; the others are for a server that starts.
  void choose_model(const std::optional<AnyclaudeChoice>& choice, bool model_given) {
    std::string& model = wanted_.options.model.model;
    if (model_given) {
      wanted_.model = model;
    } else {
      const std::string asked = choice ? choice->model : std::string();
      if (!asked.empty()) wanted_.model = asked;
      const std::string configured = model.empty() ? kDefaultModel : model;
      model = !asked.empty() ? asked : environment("KVASIR_MODEL").value_or(configured);
      add("--model", model);
    }
    // As the running server knows it, whatever folder either was started in.
    if (wanted_.model.empty()) return;
    const auto file = find_model_file(wanted_.model);
    if (file.ok() && std::filesystem::exists(*file)) wanted_.model = absolute(*file);
  }

  CLI::App app_;
  WantedServer wanted_;
};

int usage(const CLI::ParseError& error) {
  std::fprintf(stderr, "kvasir: %s\nRun with --help for more information.\n", error.what());
  return 2;
}

int run_client(const Client& client, const std::vector<std::string>& words) {
  if (!words.empty() && (words[0] == "-h" || words[0] == "--help")) {
    std::fputs(help_of(client).c_str(), stdout);
    return 0;
  }
  const auto program = find_program(client.program);
  if (!program) {
    return fail(make_error(ErrorCode::kNotFound, client.title + " (" + client.program +
                                                     ") is not on PATH; install it with: " + client.install));
  }
  std::optional<AnyclaudeChoice> choice;
  if (client.name == "claude") {
    auto found = anyclaude_choice(environment);
    if (!found.ok()) return fail(found.error());
    choice = std::move(*found);
  }
  Wish wish;
  const LaunchArguments split = split_arguments(wish.options(), words);
  ClientSettings settings;
  if (choice && choice->hosted) {
    std::fprintf(stderr, "kvasir: ANYCLAUDE_MODE=claude: %s runs against the hosted API\n",
                 client.title.c_str());
  } else {
    try {
      const auto wanted = wish.resolve(split.server, choice);
      if (!wanted.ok()) return fail(wanted.error());
      const auto address = find_or_start_server(*wanted);
      if (!address.ok()) return fail(address.error());
      settings = client.settings(*address);
    } catch (const CLI::ParseError& error) {
      return usage(error);
    }
  }
  std::vector<std::string> argv{*program};
  argv.insert(argv.end(), settings.arguments.begin(), settings.arguments.end());
  argv.insert(argv.end(), split.client.begin(), split.client.end());
  return fail(become(argv, settings.variables));
}

// The server's address if it runs, else what it would be.
Result<ServerAddress> address_for_env(WantedServer wanted) {
  wanted.may_start = false;
  const server::HttpAddress where{reachable_host(wanted.options.host), wanted.options.port};
  if (ask_health(where).state != Health::State::kNone) return find_or_start_server(wanted);
  ServerAddress address;
  address.url = "http://" + where.host + ":" + std::to_string(where.port);
  if (!wanted.options.api_keys.empty()) address.api_key = wanted.options.api_keys.front();
  address.model = "default";
  std::fprintf(stderr,
               "kvasir: no server runs on %s yet, so its context is not known; start it with "
               "'kvasir serve -m MODEL -p %u'\n",
               address.url.c_str(), static_cast<unsigned>(where.port));
  return address;
}

int print_env(std::vector<std::string> words) {
  ShellFormat format = ShellFormat::kPosix;
  const Client* client = nullptr;
  const auto taken = std::remove_if(words.begin(), words.end(), [&](const std::string& word) {
    if (word == "--json") format = ShellFormat::kJson;
    if (word == "--fish") format = ShellFormat::kFish;
    const Client* named = client == nullptr ? find_client(word) : nullptr;
    if (named != nullptr) client = named;
    return word == "--json" || word == "--fish" || named != nullptr;
  });
  words.erase(taken, words.end());
  if (client == nullptr || std::ranges::find(words, "--help") != words.end()) {
    std::fputs(kEnvHelp, client == nullptr && words.empty() ? stderr : stdout);
    return client == nullptr && words.empty() ? 2 : 0;
  }
  try {
    const auto choice = anyclaude_choice(environment);
    if (client->name == "claude" && !choice.ok()) return fail(choice.error());
    const bool applies = client->name == "claude" && !(*choice && (*choice)->hosted);
    auto wanted = Wish().resolve(words, applies ? *choice : std::nullopt);
    if (!wanted.ok()) return fail(wanted.error());
    const auto address = address_for_env(std::move(*wanted));
    if (!address.ok()) return fail(address.error());
    std::fputs(shell_lines(*client, client->settings(*address), format).c_str(), stdout);
  } catch (const CLI::ParseError& error) {
    return usage(error);
  }
  return 0;
}

}  // namespace

void add_launchers(CLI::App& app) {
  for (const Client& client : known_clients()) {
    app.add_subcommand(client.name, "Run " + client.title + " with a model served here");
  }
  app.add_subcommand("env", "Print the variables that let a client use the server");
}

std::optional<int> launch(const std::vector<std::string>& words) {
  if (words.empty()) return std::nullopt;
  const std::vector<std::string> rest(words.begin() + 1, words.end());
  if (words.front() == "env") return print_env(rest);
  const Client* client = find_client(words.front());
  return client != nullptr ? std::optional(run_client(*client, rest)) : std::nullopt;
}

}  // namespace kvasir::cli
