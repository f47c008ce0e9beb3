#pragma once
// The server that a launcher uses: the one that runs on its port, or one started in the background.

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "cli/client_settings.h"
#include "cli/serve.h"
#include "server/http_get.h"

namespace kvasir::cli {

// What /health says. Read from its body: a server of another make is not taken for Kvasir.
struct Health {
  enum class State { kNone, kForeign, kLoading, kReady, kFailed };
  State state = State::kNone;
  double progress = 0;
  std::string model;
  std::string error;  // kFailed
};
Health health_from(int status, const std::string& body);
Health ask_health(const server::HttpAddress& where);

// What a launcher wants of it.
struct WantedServer {
  ServeOptions options;                // parsed, with defaults filled in
  std::vector<std::string> arguments;  // the same, as they go to `kvasir serve`
  std::string model;                   // asked for; empty: whatever runs there
  bool may_start = true;               // false: only one that runs already
};

// Where a server that listens on `host` is reached from this machine.
std::string reachable_host(const std::string& host);

// A ready server's address. Starts `kvasir serve` where none runs and waits for it, showing progress. Errors:
// kUnavailable (none runs, none may be started; or it ended, with the end of its log), kUnauthenticated (it
// asks for another key), kNotFound (it serves another model), kInvalidArgument (something else listens).
Result<ServerAddress> find_or_start_server(const WantedServer& wanted);

}  // namespace kvasir::cli
