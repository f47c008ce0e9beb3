#include "cli/serve.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include "base/confined_process.h"
#include "cli/server_state.h"
#include "server/cache_namespace.h"
#include "server/server.h"
#include "server/warm_up.h"
#include "text/pdf.h"

namespace kvasir::cli {
namespace {

// Answers in flight get this long after a first signal; a second one ends at once.
constexpr double kDrainSeconds = 20;

void set_up_log(const std::string& level) {
  spdlog::set_default_logger(spdlog::stderr_color_mt("kvasir"));
  spdlog::set_pattern("%H:%M:%S %^%l%$ %v");
  spdlog::set_level(spdlog::level::from_str(level));
  spdlog::flush_on(spdlog::level::info);
}

std::vector<std::string> aliases_of(const OpenedModel& model, const ServeOptions& options) {
  const std::filesystem::path path(model.path);
  std::vector<std::string> names{"default",
                                 "current-model",
                                 model.id,
                                 model.path,
                                 path.filename().string(),
                                 options.model.model,
                                 std::filesystem::path(options.model.model).filename().string()};
  std::error_code ignored;
  names.push_back(std::filesystem::absolute(path, ignored).string());
  return names;
}

api::ThoughtField thought_field_of(const std::string& name) {
  if (name == "both") return api::ThoughtField::kBoth;
  return name == "reasoning" ? api::ThoughtField::kReasoning : api::ThoughtField::kReasoningContent;
}

server::LogFormat request_log_of(const ServeOptions& options) {
  if (!options.log_requests || spdlog::get_level() > spdlog::level::info) return server::LogFormat::kNone;
  return options.log_format == "json" ? server::LogFormat::kJson : server::LogFormat::kText;
}

void print_ready(const ServeOptions& options, std::uint16_t port, const std::string& id) {
  const std::string host = options.host == "0.0.0.0" || options.host == "::" ? "127.0.0.1" : options.host;
  const std::string url = "http://" + host + ":" + std::to_string(port);
  const std::string key =
      options.api_keys.empty() ? "" : " -H 'Authorization: Bearer " + std::string("YOUR_KEY") + "'";
  spdlog::info("{} is ready on {}", id, url);
  spdlog::info(
      "try: curl {}/v1/chat/completions -H 'Content-Type: application/json'{} -d "
      "'{{\"messages\": [{{\"role\": \"user\", \"content\": \"What is the capital of France?\"}}]}}'",
      url, key);
  spdlog::info("Claude Code: kvasir claude{}", port == kDefaultPort ? "" : fmt::format(" --port {}", port));
}

void warm(const ServeOptions& options, const server::LoadedModel& model, const std::atomic<bool>& stopping) {
  std::ifstream in(options.warm_file, std::ios::binary);
  const std::string lines((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  const std::string key = options.share_cache || options.api_keys.empty() ? "" : options.api_keys.front();
  ProgressLine line("warming up");
  const auto report = server::warm_up(model, lines, server::cache_namespace(key, {}), [&](double share) {
    line.show(share);
    return !stopping;
  });
  line.finish();
  if (report.ok()) {
    spdlog::info("warm: {} prompts of {} tokens, {} of them read now", report->prompts, report->tokens,
                 report->computed_tokens);
  } else {
    spdlog::warn("warm-up from {}: {}", options.warm_file, report.error().message);
  }
}

// Tells other commands of this server while it runs.
class StateRecord {
 public:
  StateRecord(const ServeOptions& options, std::uint16_t port, const std::string& model) : port_(port) {
    const std::string key = options.api_keys.empty() ? "" : options.api_keys.front();
    const Status kept = write_state({own_process_id(), options.host, port, model, key});
    if (!kept.ok()) spdlog::debug("other commands will not find this server: {}", kept.error().message);
  }
  ~StateRecord() { remove_state(port_, own_process_id()); }
  StateRecord(const StateRecord&) = delete;
  StateRecord& operator=(const StateRecord&) = delete;

 private:
  std::uint16_t port_;
};

}  // namespace

int serve(const ServeOptions& options) {
  set_up_log(options.log_level);
  if (!options.startup_note.empty()) spdlog::info("{}", options.startup_note);
  const auto opened = open_model(options.model.model);
  if (!opened.ok()) return fail(opened.error());

  // Signals go to sigwait() below and to no other thread.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);

  server::ModelSlot slot(options.model_name.empty() ? opened->id : options.model_name,
                         aliases_of(*opened, options));
  server::ServerOptions server_options;
  server_options.http.host = options.host;
  server_options.http.port = options.port;
  server_options.api_keys = options.api_keys;
  server_options.idle_prefill = options.idle_prefill;
  server_options.share_cache = options.share_cache;
  server_options.cors_origins = options.cors_origins;
  server_options.stop = options.stop;
  if (const auto program = own_image(); program.ok())
    server_options.pdf_worker = {*program, text::kPdfWorker};
  const auto sampling = [&](const std::optional<float>& asked, const char* key, float fallback) {
    const auto own = opened->file->number(key);
    return asked.value_or(own ? static_cast<float>(*own) : fallback);
  };
  server_options.temperature =
      sampling(options.temperature, "general.sampling.temp", server_options.temperature);
  server_options.top_p = sampling(options.top_p, "general.sampling.top_p", server_options.top_p);
  server_options.request_log = request_log_of(options);
  server_options.thoughts = thought_field_of(options.reasoning_field);
  auto server = server::Server::start(std::move(server_options), slot);
  if (!server.ok()) return fail(server.error());
  spdlog::info("listening on {}:{}, loading {}", options.host, (*server)->port(), opened->path);
  const StateRecord record(options, (*server)->port(), slot.id());

  std::atomic<bool> loading{true};
  std::atomic<bool> failed{false};
  std::atomic<bool> stopping{false};
  std::thread loader([&] {
    ProgressLine line("loading " + opened->id);
    auto model = load_model(*opened, options.model, options.executor, [&](double share) {
      slot.set_progress(share);
      line.show(share);
    });
    line.finish();
    if (model.ok()) {
      const std::shared_ptr<const server::LoadedModel> loaded = *model;
      slot.set_ready(std::move(model).value());
      print_ready(options, (*server)->port(), slot.id());
      loading = false;
      if (!options.warm_file.empty()) warm(options, *loaded, stopping);
    } else {
      slot.set_failed(model.error());
      fail(model.error());
      failed = true;
      loading = false;
      (void)ask_to_end(own_process_id());
      return;
    }
    loading = false;
  });

  int signal = 0;
  sigwait(&signals, &signal);
  if (loading) {
    // Repacking cannot be interrupted and holds nothing that a clean end would save.
    remove_state((*server)->port(), own_process_id());
    std::_Exit(0);
  }
  stopping = true;
  loader.join();
  if (failed) return 1;
  spdlog::info("stopping: answers in flight have {} seconds (signal again to end at once)", kDrainSeconds);
  std::thread impatient([&] {
    int second = 0;
    sigwait(&signals, &second);
    remove_state((*server)->port(), own_process_id());
    std::_Exit(130);
  });
  impatient.detach();
  const bool finished = (*server)->stop(kDrainSeconds);
  spdlog::info(finished ? "stopped" : "stopped; some answers were cut short");
  return 0;
}

}  // namespace kvasir::cli
