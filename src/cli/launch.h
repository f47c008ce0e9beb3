#pragma once
// Commands around a server in the background: coding agents on it, and the service that keeps it.

#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace kvasir::cli {

// `kvasir claude`, `codex`, `opencode`, `qwen` and `env`: listed by add_launchers(), run by launch(), since
// the client's words are not ours to parse. launch() returns the exit code, or nullopt where the first word
// is none of them.
void add_launchers(CLI::App& app);
std::optional<int> launch(const std::vector<std::string>& words);

// `kvasir service`. `exit_code` receives its result once the app has been parsed.
void add_service(CLI::App& app, int& exit_code);

}  // namespace kvasir::cli
