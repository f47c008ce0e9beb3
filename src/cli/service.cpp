// `kvasir service`: a server that the user's session starts, and the servers that run in the background.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <span>
#include <thread>

#include "base/file_system.h"
#include "cli/background_server.h"
#include "cli/config_file.h"
#include "cli/launch.h"
#include "cli/server_state.h"
#include "cli/service_unit.h"

namespace kvasir::cli {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr bool kLaunchd =
#if defined(__APPLE__)
    true;
#else
    false;
#endif

struct ServiceCommand {
  std::vector<std::string> serve_options;
  std::string print;  // "systemd" or "launchd": show the unit, do nothing
  std::uint16_t port = kDefaultPort;
  std::uint32_t lines = 50;
  bool follow = false;
};

// Where the service manager looks for what install writes.
std::string unit_path() {
  if (kLaunchd) return home_folder() + "/Library/LaunchAgents/" + kLaunchdLabel + ".plist";
  const std::string config = environment("XDG_CONFIG_HOME").value_or(home_folder() + "/.config");
  return config + "/systemd/user/" + kSystemdUnit;
}

std::string launchd_log() {
  return path_in(state_folder(), "service.log");
}

std::string launchd_domain() {
  return "gui/" + std::to_string(own_user_id());
}

// Runs a service manager's command; its output is the error's text where it fails.
Status manage(const std::vector<std::string>& argv) {
  KVASIR_ASSIGN_OR_RETURN(const ProgramResult result, run_program(argv));
  if (result.exit_code == 0) return {};
  std::string said = result.output;
  while (!said.empty() && said.back() == '\n') said.pop_back();
  for (char& c : said) {
    if (c == '\n') c = ' ';
  }
  std::string command;
  for (const std::string& word : argv) command += (command.empty() ? "" : " ") + word;
  return make_error(ErrorCode::kUnavailable, command + ": " + said, argv.front());
}

Status manager_available() {
  const std::string program = kLaunchd ? "launchctl" : "systemctl";
  Status works = find_program(program) ? Status() : Status(make_error(ErrorCode::kNotFound, "no " + program));
  if (works.ok() && !kLaunchd) works = manage({"systemctl", "--user", "show-environment"});
  if (works.ok()) return {};
  return make_error(ErrorCode::kUnavailable,
                    "there is no service manager for this session (" + works.error().message +
                        "); containers and some remote logins have none. 'kvasir claude' starts a server in "
                        "the background without one");
}

Result<ServiceDescription> description(const ServiceCommand& command) {
  ServiceDescription service;
  KVASIR_ASSIGN_OR_RETURN(const std::string program, own_program());
  service.command = {program, "serve"};
  service.command.insert(service.command.end(), command.serve_options.begin(), command.serve_options.end());
  service.folder = fs::current_path().string();
  for (const char* name :
       {"KVASIR_CONFIG", "KVASIR_MODELS", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"}) {
    if (const auto value = environment(name)) service.environment.emplace_back(name, *value);
  }
  service.log = launchd_log();
  return service;
}

// Wrong options are told now, not in a journal later. Throws CLI::ParseError.
void check_serve_options(std::vector<std::string> words) {
  CLI::App app("kvasir serve");
  ServeOptions options;
  add_serve_options(app, options);
  if (find_default_config()) app.get_option("--model")->required(false);  // it may be named there
  std::reverse(words.begin(), words.end());
  app.parse(std::move(words));
}

Status write_unit(const std::string& text) {
  FileSystem& files = system_files();
  const std::string path = unit_path();
  KVASIR_RETURN_IF_ERROR(files.make_folder(fs::path(path).parent_path().string()));
  (void)files.remove(path);
  // Mode 0600: the options may hold an API key.
  KVASIR_ASSIGN_OR_RETURN(const auto file, files.open(path, OpenMode::kCreateNew));
  return file->write_at(0, std::as_bytes(std::span(text)));
}

Status install(const ServiceCommand& command) {
  KVASIR_ASSIGN_OR_RETURN(const ServiceDescription service, description(command));
  if (!command.print.empty()) {
    std::fputs((command.print == "launchd" ? launchd_plist(service) : systemd_unit(service)).c_str(), stdout);
    return {};
  }
  KVASIR_RETURN_IF_ERROR(manager_available());
  if (kLaunchd) {
    KVASIR_RETURN_IF_ERROR(system_files().make_folder(state_folder()));
    (void)manage({"launchctl", "bootout", launchd_domain() + "/" + kLaunchdLabel});
    KVASIR_RETURN_IF_ERROR(write_unit(launchd_plist(service)));
    KVASIR_RETURN_IF_ERROR(manage({"launchctl", "bootstrap", launchd_domain(), unit_path()}));
  } else {
    KVASIR_RETURN_IF_ERROR(write_unit(systemd_unit(service)));
    KVASIR_RETURN_IF_ERROR(manage({"systemctl", "--user", "daemon-reload"}));
    KVASIR_RETURN_IF_ERROR(manage({"systemctl", "--user", "enable", kSystemdUnit}));
    KVASIR_RETURN_IF_ERROR(manage({"systemctl", "--user", "restart", kSystemdUnit}));
  }
  std::printf("installed %s; the server starts now, and with every session\n", unit_path().c_str());
  std::printf("look at it with 'kvasir service status' and 'kvasir service logs -f'\n");
  return {};
}

Status uninstall() {
  if (!fs::exists(unit_path())) {
    return make_error(ErrorCode::kNotFound, "no service is installed (" + unit_path() + " is not there)",
                      unit_path());
  }
  // The file goes even where the manager cannot be asked: nothing starts it then any more.
  const Status stopped = kLaunchd ? manage({"launchctl", "bootout", launchd_domain() + "/" + kLaunchdLabel})
                                  : manage({"systemctl", "--user", "disable", "--now", kSystemdUnit});
  KVASIR_RETURN_IF_ERROR(system_files().remove(unit_path()));
  if (!kLaunchd && stopped.ok()) KVASIR_RETURN_IF_ERROR(manage({"systemctl", "--user", "daemon-reload"}));
  std::printf("removed %s\n", unit_path().c_str());
  if (!stopped.ok())
    std::printf("the service manager could not be asked: %s\n", stopped.error().message.c_str());
  return {};
}

// Every server that has left a record and answers; records of ended ones are removed.
std::vector<ServerState> running_servers() {
  std::vector<ServerState> running;
  const auto names = system_files().list(state_folder());
  if (!names.ok()) return running;
  for (const std::string& name : *names) {
    const auto port = port_of_record(name);
    const auto state = port ? read_state(*port) : std::nullopt;
    if (!state) continue;
    if (process_runs(state->process)) {
      running.push_back(*state);
    } else {
      remove_state(state->port, state->process);
    }
  }
  return running;
}

int status() {
  if (!fs::exists(unit_path())) {
    std::printf("service    not installed\n");
  } else {
    const auto asked = kLaunchd ? run_program({"launchctl", "print", launchd_domain() + "/" + kLaunchdLabel})
                                : run_program({"systemctl", "--user", "is-active", kSystemdUnit});
    std::string said = asked.ok() ? asked->output : asked.error().message;
    if (kLaunchd && asked.ok()) said = asked->exit_code == 0 ? "loaded" : "not loaded";
    said = said.substr(0, said.find('\n'));
    std::printf("service    installed (%s), %s\n", unit_path().c_str(), said.c_str());
  }
  const auto servers = running_servers();
  for (const ServerState& s : servers) {
    const Health health = ask_health({reachable_host(s.host), s.port});
    std::string how = "does not answer";
    if (health.state == Health::State::kReady) how = "ready";
    if (health.state == Health::State::kFailed) how = "failed: " + health.error;
    if (health.state == Health::State::kLoading)
      how = "loading, " + std::to_string(static_cast<int>(health.progress * 100)) + "%";
    std::printf("server     %s:%u  %s  %s  process %d%s\n", s.host.c_str(), static_cast<unsigned>(s.port),
                s.model.c_str(), how.c_str(), s.process, s.api_key.empty() ? "" : "  (asks for a key)");
  }
  if (servers.empty()) std::printf("server     none runs\n");
  return servers.empty() ? 3 : 0;  // as systemctl status: 3 is "not running"
}

Status logs(const ServiceCommand& command) {
  const std::string count = std::to_string(command.lines);
  const std::string file = kLaunchd && fs::exists(launchd_log()) ? launchd_log() : log_path(command.port);
  std::vector<std::string> argv{"tail", "-n", count};
  if (!kLaunchd && fs::exists(unit_path())) {
    // Not --user, which looks into journals that are split by user: a volatile one is not, nor is root's.
    argv = {"journalctl", std::string("--user-unit=") + kSystemdUnit, "--no-pager", "-n", count};
  } else if (!fs::exists(file)) {
    return make_error(ErrorCode::kNotFound,
                      "there is no log: no service is installed, and no server was started in the background "
                      "on port " +
                          std::to_string(command.port) + " (" + file + " is not there)",
                      file);
  } else {
    argv.push_back(file);
  }
  if (command.follow) argv.insert(argv.begin() + 1, "-f");
  return become(argv, {});
}

Status stop(const ServiceCommand& command) {
  const auto state = read_state(command.port);
  if (!state || !process_runs(state->process) ||
      ask_health({reachable_host(state->host), state->port}).state == Health::State::kNone) {
    return make_error(ErrorCode::kNotFound, "no server of yours runs on port " +
                                                std::to_string(command.port) +
                                                "; 'kvasir service status' lists those that do");
  }
  if (!ask_to_end(state->process)) {
    return make_error(ErrorCode::kIo, "process " + std::to_string(state->process) + " cannot be signalled");
  }
  std::fprintf(stderr, "kvasir: waiting for answers in flight\n");
  // A server whose parent does not collect it stays in the process table; its record goes when it ends.
  while (process_runs(state->process) && read_state(command.port)) std::this_thread::sleep_for(50ms);
  std::printf("stopped the server on port %u\n", static_cast<unsigned>(command.port));
  return {};
}

int code_of(const Status& status) {
  return status.ok() ? 0 : fail(status.error());
}

}  // namespace

void add_service(CLI::App& app, int& exit_code) {
  CLI::App* service = app.add_subcommand("service", "A server in the background: install, look at, stop");
  service->require_subcommand(1);
  service->footer(
      "kvasir service install -- -m model.gguf -p 8081 --api-key KEY\n"
      "kvasir service status\n"
      "kvasir service logs -f\n"
      "kvasir service stop --port 8081\n"
      "kvasir service uninstall\n\n"
      "On Linux the service is a unit of systemd --user, on macOS an agent of launchd: the server starts "
      "with\n"
      "the session and again after a crash. On Linux, 'loginctl enable-linger' starts it with the machine.");
  auto command = std::make_shared<ServiceCommand>();
  CLI::App* sub = service->add_subcommand("install", "Start a server now and with every session");
  sub->add_option("serve_options", command->serve_options, "Behind '--': the options of 'kvasir serve'")
      ->required();
  sub->add_option("--print", command->print, "Only show the unit")
      ->type_name("systemd|launchd")
      ->check(CLI::IsMember({"systemd", "launchd"}));
  sub->callback([command, &exit_code] {
    check_serve_options(command->serve_options);
    exit_code = code_of(install(*command));
  });
  sub = service->add_subcommand("status", "The service, and every server that runs: port, model, state");
  sub->callback([&exit_code] { exit_code = status(); });
  sub = service->add_subcommand("logs", "The service's log, or that of a server started by 'kvasir claude'");
  sub->add_flag("-f,--follow", command->follow, "Go on as it is written");
  sub->add_option("-n,--lines", command->lines, "How many to begin with")->capture_default_str();
  sub->add_option("-p,--port", command->port, "Of a server without a service")->capture_default_str();
  sub->callback([command, &exit_code] { exit_code = code_of(logs(*command)); });
  sub = service->add_subcommand("stop", "Stop a server; answers in flight are finished");
  sub->add_option("-p,--port", command->port, "Its port")->capture_default_str();
  sub->callback([command, &exit_code] { exit_code = code_of(stop(*command)); });
  sub = service->add_subcommand("uninstall", "Stop the service and forget it");
  sub->callback([&exit_code] { exit_code = code_of(uninstall()); });
}

}  // namespace kvasir::cli
