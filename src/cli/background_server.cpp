#include "cli/background_server.h"

#include <boost/json.hpp>
#include <cstdio>
#include <fstream>
#include <thread>

#include "base/file_system.h"
#include "cli/load.h"
#include "cli/server_state.h"

namespace kvasir::cli {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;

constexpr std::chrono::milliseconds kAnswerWithin = 2s;  // a busy machine's health check
constexpr std::chrono::milliseconds kPause = 50ms;       // between two looks at a server that starts

std::string place(const server::HttpAddress& where) {
  return where.host + ":" + std::to_string(where.port);
}

// The last lines of a log, which say why a server ended.
std::string end_of(const std::string& path) {
  constexpr std::size_t kLines = 5;
  std::ifstream in(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) {
    lines.push_back(line);
    if (lines.size() > kLines) lines.erase(lines.begin());
  }
  std::string text;
  for (const std::string& line : lines) text += "\n  " + line;
  return text;
}

Error foreign(const server::HttpAddress& where) {
  return make_error(
      ErrorCode::kInvalidArgument,
      "what answers on " + place(where) + " is not Kvasir; stop it, or choose another port with --port");
}

// Starts it; the log of the run before is kept beside the new one.
Result<ProcessId> start(const WantedServer& wanted, const std::string& log) {
  KVASIR_RETURN_IF_ERROR(system_files().make_folder(state_folder()));
  (void)system_files().rename(log, log + ".old");
  KVASIR_ASSIGN_OR_RETURN(const std::string program, own_program());
  std::vector<std::string> argv{program, "serve"};
  argv.insert(argv.end(), wanted.arguments.begin(), wanted.arguments.end());
  return start_in_background(argv, log);
}

// Waits until a server that loads is ready. `process`: the one started here, or 0.
Result<Health> wait_ready(const server::HttpAddress& where, ProcessId process, const std::string& log) {
  ProgressLine line("loading the model");
  for (;;) {
    // Looked at before the question: a server that ends afterwards has lost its port to one that answers.
    const bool runs = process == 0 || process_runs(process);
    Health health = ask_health(where);
    line.show(health.progress);
    if (health.state == Health::State::kReady) {
      line.finish();
      return health;
    }
    if (health.state == Health::State::kForeign) return foreign(where);
    const bool gone = process == 0 ? health.state == Health::State::kNone : !runs;
    if (gone || health.state == Health::State::kFailed) {
      line.finish();
      return make_error(ErrorCode::kUnavailable,
                        health.error.empty() ? "the server ended while it started; its log (" + log +
                                                   ") ends with:" + end_of(log)
                                             : "the model could not be loaded: " + health.error,
                        log);
    }
    std::this_thread::sleep_for(kPause);
  }
}

std::string percent_encoded(const std::string& text) {
  static constexpr std::string_view kPlain =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
  static constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (kPlain.find(c) != std::string_view::npos) {
      out += c;
    } else {
      out += {'%', kDigits[byte / 16], kDigits[byte % 16]};
    }
  }
  return out;
}

// The ready server's model and context, which also proves the key.
Result<ServerAddress> describe(const server::HttpAddress& where, const std::string& key,
                               const std::string& serves, const std::string& asked) {
  server::Headers headers;
  if (!key.empty()) headers.emplace_back("Authorization", "Bearer " + key);
  const std::string name = asked.empty() ? serves : asked;
  KVASIR_ASSIGN_OR_RETURN(
      const server::HttpResponse response,
      server::http_get(where, "/v1/models/" + percent_encoded(name), headers, kAnswerWithin * 5));
  if (response.status == 401) {
    return make_error(ErrorCode::kUnauthenticated,
                      "the server on " + place(where) +
                          " asks for another API key; give it with --api-key or KVASIR_API_KEY");
  }
  if (response.status == 404) {
    return make_error(ErrorCode::kNotFound,
                      "the server on " + place(where) + " serves " + serves + ", not " + asked +
                          "; stop it, choose another port with --port, or leave -m out",
                      asked);
  }
  boost::system::error_code error;
  const json::value body = json::parse(response.body, error);
  const json::object* model = error ? nullptr : body.if_object();
  if (response.status != 200 || model == nullptr) return foreign(where);
  ServerAddress address{"http://" + place(where), key, serves, 0};
  if (const json::value* context = model->if_contains("max_model_len"); context && context->is_int64())
    address.context_tokens = static_cast<std::uint32_t>(context->get_int64());
  return address;
}

}  // namespace

Health health_from(int status, const std::string& body) {
  Health health;
  health.state = Health::State::kForeign;
  boost::system::error_code error;
  const json::value value = json::parse(body, error);
  const json::object* said = error ? nullptr : value.if_object();
  const auto text = [&](std::string_view name) {
    const json::value* v = said != nullptr ? said->if_contains(name) : nullptr;
    return v != nullptr && v->is_string() ? std::string(v->get_string()) : std::string();
  };
  if (status == 503 && text("status") == "failed") {
    health.state = Health::State::kFailed;
    health.error = text("error");
  }
  const json::value* progress = said != nullptr ? said->if_contains("progress") : nullptr;
  if (status != 200 || text("model").empty() || progress == nullptr || !progress->is_number()) return health;
  health.state = text("status") == "ok" ? Health::State::kReady : Health::State::kLoading;
  health.progress = progress->to_number<double>();
  health.model = text("model");
  return health;
}

Health ask_health(const server::HttpAddress& where) {
  const auto response = server::http_get(where, "/health", {}, kAnswerWithin);
  return response.ok() ? health_from(response->status, response->body) : Health{};
}

std::string reachable_host(const std::string& host) {
  return host == "0.0.0.0" || host == "::" || host.empty() ? "127.0.0.1" : host;
}

Result<ServerAddress> find_or_start_server(const WantedServer& wanted) {
  const server::HttpAddress where{reachable_host(wanted.options.host), wanted.options.port};
  Health health = ask_health(where);
  if (health.state == Health::State::kForeign) return foreign(where);
  const auto key_of = [&] {
    if (!wanted.options.api_keys.empty()) return wanted.options.api_keys.front();
    if (auto key = environment("KVASIR_API_KEY")) return *key;
    const auto state = read_state(where.port);
    return state ? state->api_key : std::string();
  };
  if (health.state == Health::State::kReady) return describe(where, key_of(), health.model, wanted.model);

  ProcessId process = 0;
  const std::string log = log_path(where.port);
  if (health.state == Health::State::kNone) {
    if (!wanted.may_start) {
      return make_error(ErrorCode::kUnavailable, "no server runs on " + place(where) +
                                                     "; start one with 'kvasir serve -m MODEL -p " +
                                                     std::to_string(where.port) + "'");
    }
    const auto started = start(wanted, log);
    if (!started.ok()) return started.error();
    process = *started;
    std::fprintf(stderr, "kvasir: starting a server for %s on %s (process %d, log %s)\n",
                 wanted.options.model.model.c_str(), place(where).c_str(), process, log.c_str());
  }
  const auto ready = wait_ready(where, process, log);
  if (!ready.ok()) return ready.error();
  return describe(where, key_of(), ready->model, wanted.model);
}

}  // namespace kvasir::cli
