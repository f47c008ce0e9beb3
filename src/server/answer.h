#pragma once
// One request being answered: engine events of all its choices -> output parsers -> the API's builder -> the
// exchange.
//
// Threads: events come on the engine's thread, the client's leaving and ticks on others; a mutex of its own
// keeps them apart. An Answer lives as long as the engine holds one of its sinks.

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "api/response_builder.h"
#include "chat/output_parser.h"
#include "chat/prompt.h"
#include "chat/thought_watch.h"
#include "chat/turn_recorder.h"
#include "engine/engine.h"
#include "server/http_server.h"
#include "server/request_log.h"
#include "server/server_metrics.h"

namespace kvasir::server {

HttpResponse json_response(int status, std::string body);
// As Anthropic's header `request-id` and its error bodies have it.
std::string new_request_id();
// Status 200.
HttpResponse api_response(api::Dialect dialect, std::string body);
// With Retry-After where trying again makes sense. `request_id`: Anthropic's; empty makes one.
HttpResponse error_response(api::Dialect dialect, const Error& error, std::string request_id = {});

struct AnswerOptions {
  api::Dialect dialect = api::Dialect::kOpenAi;
  bool stream = false;
  std::string label;       // for the log: the route
  std::string model;       // for the log: as the request names it
  std::string request_id;  // a header, where not empty
  std::unique_ptr<api::ResponseBuilder> builder;
  // One a choice, or empty where the text is passed on as it is.
  std::vector<std::unique_ptr<chat::OutputParser>> parsers;
  // One a choice, or empty where answers do not come back in later prompts. Needs parsers.
  std::vector<std::unique_ptr<chat::TurnRecorder>> recorders;
  // One a choice, or empty where nothing thinks; they count the tokens of thoughts.
  std::vector<chat::ThoughtWatch> thoughts;
  api::TokenBytes token_bytes;  // needed for `thoughts`
  // Called with each answered turn, on the engine's thread; may be empty. Needs recorders.
  std::function<void(chat::Message turn)> on_turn;
  std::string warning;                  // what of the request is not held to; a header, where not empty
  std::uint32_t replayed_tokens = 0;    // of the prompt, for the log
  bool explain_cache = false;           // the client asks what was not found in the cache
  std::vector<chat::PromptPart> parts;  // then: where the prompt's parts begin
};

class Answer : public std::enable_shared_from_this<Answer> {
 public:
  Answer(AnswerOptions options, std::shared_ptr<Exchange> exchange, ServerMetrics& metrics);

  // Submits one engine request a choice. On refusal of any, all are cancelled and the client is told.
  void start(engine::Engine& engine, std::vector<engine::Request> requests);
  // Called every second or so: keeps a silent stream alive.
  void tick(std::chrono::steady_clock::time_point now);
  bool ended() const;

 private:
  using Clock = std::chrono::steady_clock;
  void on_event(std::size_t choice, engine::Event event);
  void on_started(std::size_t choice, const engine::Started& started);
  void on_text(std::size_t choice, const engine::Text& text);
  void on_finished(std::size_t choice, const engine::Finished& finished);
  void on_failed(const Error& error);
  void on_disconnect();
  void record_cut_short(std::size_t choice);
  void open_stream(const std::string& cache_note);
  api::CacheExplanation explain(const engine::Started& started) const;
  void send(std::string bytes);
  void cancel_all();
  void record(const engine::Finished& finished) const;

  AnswerOptions options_;
  std::shared_ptr<Exchange> exchange_;
  std::shared_ptr<RequestRecord> record_;  // null: the request is not logged
  ServerMetrics& metrics_;
  const Clock::time_point received_ = Clock::now();

  mutable std::mutex mutex_;
  engine::Engine* engine_ = nullptr;
  std::vector<engine::RequestId> requests_;
  std::size_t running_ = 0;
  bool first_token_seen_ = false;
  std::uint32_t generated_ = 0;
  std::uint32_t prompt_tokens_ = 0;  // of the first choice, once started
  std::uint32_t cached_tokens_ = 0;
  bool stream_open_ = false;
  std::string cache_note_;
  bool ended_ = false;
  Clock::time_point last_sent_ = Clock::now();
};

}  // namespace kvasir::server
