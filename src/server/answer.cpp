#include "server/answer.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "server/random_id.h"

namespace kvasir::server {
namespace {

// Clients give up on a silent stream after minutes; proxies sooner.
constexpr std::chrono::seconds kSilence{5};
constexpr const char* kRequestId = "request-id";

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// A header's value holds no line breaks, whatever clients name their tools.
std::string header_text(std::string text) {
  constexpr std::size_t kMost = 1000;
  for (char& c : text) {
    if (c < ' ' || c > '~') c = '?';
  }
  return text.substr(0, kMost);
}

}  // namespace

HttpResponse json_response(int status, std::string body) {
  return {status, {{"Content-Type", "application/json"}}, std::move(body)};
}

std::string new_request_id() {
  return "req_" + random_id();
}

HttpResponse api_response(api::Dialect dialect, std::string body) {
  HttpResponse response = json_response(200, std::move(body));
  if (dialect == api::Dialect::kAnthropic) response.headers.emplace_back(kRequestId, new_request_id());
  return response;
}

HttpResponse error_response(api::Dialect dialect, const Error& error, std::string request_id) {
  if (dialect == api::Dialect::kAnthropic && request_id.empty()) request_id = new_request_id();
  HttpResponse response =
      json_response(api::http_status(dialect, error.code), api::error_body(dialect, error, request_id));
  if (api::is_retryable(error.code)) response.headers.emplace_back("Retry-After", "2");
  if (!request_id.empty()) response.headers.emplace_back(kRequestId, std::move(request_id));
  return response;
}

Answer::Answer(AnswerOptions options, std::shared_ptr<Exchange> exchange, ServerMetrics& metrics)
    : options_(std::move(options)),
      exchange_(std::move(exchange)),
      record_(record_of(*exchange_)),
      metrics_(metrics) {}

void Answer::start(engine::Engine& engine, std::vector<engine::Request> requests) {
  {
    // Held until every choice is in: the first events wait for a moment.
    const std::lock_guard lock(mutex_);
    engine_ = &engine;
    for (std::size_t choice = 0; choice < requests.size(); ++choice) {
      auto id = engine.submit(std::move(requests[choice]),
                              [self = shared_from_this(), choice](engine::Event event) {
                                self->on_event(choice, std::move(event));
                              });
      if (!id.ok()) {
        cancel_all();
        ended_ = true;
        exchange_->respond(error_response(options_.dialect, id.error(), options_.request_id));
        return;
      }
      requests_.push_back(*id);
      ++running_;
    }
    if (!options_.stream) (void)options_.builder->opened();
  }
  exchange_->on_disconnect([self = std::weak_ptr(shared_from_this())] {
    if (const auto answer = self.lock()) answer->on_disconnect();
  });
}

void Answer::tick(std::chrono::steady_clock::time_point now) {
  const std::lock_guard lock(mutex_);
  if (ended_ || !options_.stream) return;
  // A queue or a disk that keeps the first event waiting must not keep the headers.
  if (!stream_open_) open_stream({});
  if (now - last_sent_ < kSilence) return;
  send(options_.builder->keepalive());
}

bool Answer::ended() const {
  const std::lock_guard lock(mutex_);
  return ended_;
}

// Headers wait for the look-up, which is a matter of milliseconds, since they tell what it found.
void Answer::open_stream(const std::string& cache_note) {
  stream_open_ = true;
  Headers headers{{"Content-Type", "text/event-stream; charset=utf-8"},
                  {"Cache-Control", "no-cache"},
                  {"X-Accel-Buffering", "no"}};
  if (!cache_note.empty()) headers.emplace_back("x-kvasir-cache", cache_note);
  if (!options_.warning.empty()) headers.emplace_back("x-kvasir-warning", header_text(options_.warning));
  if (!options_.request_id.empty()) headers.emplace_back(kRequestId, options_.request_id);
  exchange_->begin_stream(200, std::move(headers));
  send(options_.builder->opened());
}

// What was found, and, where it was asked for, the part of the prompt that the first token not found belongs
// to.
api::CacheExplanation Answer::explain(const engine::Started& started) const {
  api::CacheExplanation found{
      started.prompt_tokens, started.cached_tokens, started.loaded_tokens, options_.replayed_tokens, {}, {}};
  // The last token is read in any case.
  if (options_.parts.empty() || started.cached_tokens + 1 >= started.prompt_tokens) return found;
  found.new_from = "start";
  found.what = "what the template begins with";
  std::uint32_t latest = 0;  // the parts are listed by kind, not by place
  for (const chat::PromptPart& p : options_.parts) {
    if (p.first_token > started.cached_tokens || p.first_token < latest) continue;
    latest = p.first_token;
    found.new_from = p.name;
    found.what = p.what;
  }
  return found;
}

void Answer::send(std::string bytes) {
  if (!options_.stream || bytes.empty()) return;
  last_sent_ = Clock::now();
  exchange_->write(std::move(bytes));
}

void Answer::cancel_all() {
  for (const engine::RequestId id : requests_) engine_->cancel(id);
}

void Answer::on_disconnect() {
  const std::lock_guard lock(mutex_);
  if (ended_) return;
  ended_ = true;
  cancel_all();
  for (std::size_t choice = 0; choice < options_.recorders.size(); ++choice) record_cut_short(choice);
  if (record_ == nullptr || prompt_tokens_ == 0) return;
  RequestLine cut;
  cut.model = options_.model;
  cut.prompt_tokens = prompt_tokens_;
  cut.cached_tokens = cached_tokens_;
  cut.replayed_tokens = options_.replayed_tokens;
  cut.output_tokens = generated_;
  record_->add(cut);
}

// A client that stops an answer often keeps what it has of it. Only text can come back so: of anything that
// the parser still holds, the client has seen nothing.
void Answer::record_cut_short(std::size_t choice) {
  const auto recorder = std::exchange(options_.recorders[choice], nullptr);
  if (recorder == nullptr) return;
  std::vector<chat::OutputEvent> held;
  options_.parsers[choice]->finish(held);
  const bool only_space = std::ranges::all_of(held, [](const chat::OutputEvent& event) {
    const auto* text = std::get_if<chat::TextDelta>(&event);
    return text != nullptr && text->text.find_first_not_of(" \t\r\n") == std::string::npos;
  });
  if (only_space) recorder->finish(held);
}

void Answer::on_event(std::size_t choice, engine::Event event) {
  const std::lock_guard lock(mutex_);
  if (ended_) return;
  if (const auto* started = std::get_if<engine::Started>(&event))
    on_started(choice, *started);
  else if (const auto* text = std::get_if<engine::Text>(&event))
    on_text(choice, *text);
  else if (const auto* scored = std::get_if<engine::Scored>(&event))
    send(options_.builder->scored(choice, *scored));
  else if (const auto* finished = std::get_if<engine::Finished>(&event))
    on_finished(choice, *finished);
  else if (const auto* failed = std::get_if<engine::Failed>(&event))
    on_failed(failed->error);
}

void Answer::on_started(std::size_t choice, const engine::Started& started) {
  if (cache_note_.empty()) {
    prompt_tokens_ = started.prompt_tokens;
    cached_tokens_ = started.cached_tokens;
    const api::CacheExplanation found = explain(started);
    cache_note_ = api::cache_header(found);
    if (options_.explain_cache) options_.builder->explain(found);
  }
  if (options_.stream && !stream_open_) open_stream(cache_note_);
  send(options_.builder->started(choice, started));
}

void Answer::on_text(std::size_t choice, const engine::Text& text) {
  generated_ += static_cast<std::uint32_t>(text.tokens.size());
  if (!first_token_seen_) {
    first_token_seen_ = true;
    const double seconds = seconds_since(received_);
    metrics_.first_token_seconds.observe(seconds);
    if (record_ != nullptr) record_->first_token(seconds);
  }
  if (!options_.thoughts.empty()) {
    for (const engine::SampledToken& token : text.tokens)
      options_.thoughts[choice].feed(options_.token_bytes(token.token));
  }
  std::vector<chat::OutputEvent> events;
  if (options_.parsers.empty()) {
    if (!text.text.empty()) events.emplace_back(chat::TextDelta{text.text});
  } else {
    options_.parsers[choice]->feed(text.text, events);
  }
  if (!options_.recorders.empty()) options_.recorders[choice]->add(text, events);
  send(options_.builder->output(choice, events, text.tokens));
}

void Answer::on_finished(std::size_t choice, const engine::Finished& finished) {
  if (!options_.parsers.empty()) {
    std::vector<chat::OutputEvent> events;
    options_.parsers[choice]->finish(events);
    if (!options_.recorders.empty()) {
      // Before the client can come back with it.
      const auto recorder = std::exchange(options_.recorders[choice], nullptr);
      recorder->finish(events);
      if (options_.on_turn) options_.on_turn(recorder->turn());
    }
    send(options_.builder->output(choice, events, {}));
  }
  if (!options_.thoughts.empty()) options_.builder->reasoned(choice, options_.thoughts[choice].tokens());
  send(options_.builder->finished(choice, finished));
  record(finished);
  if (--running_ > 0) return;
  ended_ = true;
  if (record_ != nullptr) record_->answered();
  metrics_.request_seconds.observe(seconds_since(received_));
  if (options_.stream) {
    exchange_->write(options_.builder->ended());
    exchange_->end();
  } else {
    HttpResponse response = json_response(200, options_.builder->body());
    response.headers.emplace_back("x-kvasir-cache", cache_note_);
    if (!options_.warning.empty())
      response.headers.emplace_back("x-kvasir-warning", header_text(options_.warning));
    if (!options_.request_id.empty()) response.headers.emplace_back(kRequestId, options_.request_id);
    exchange_->respond(std::move(response));
  }
}

void Answer::on_failed(const Error& error) {
  ended_ = true;
  cancel_all();
  spdlog::warn("{} failed: {}", options_.label, error.message);
  if (record_ != nullptr) record_->failed();
  if (options_.stream && stream_open_) {
    exchange_->write(options_.builder->failed(error));
    exchange_->end();
  } else {
    exchange_->respond(error_response(options_.dialect, error, options_.request_id));
  }
}

void Answer::record(const engine::Finished& finished) const {
  const engine::Usage& u = finished.usage;
  const double rate = u.completion_tokens > 1 && finished.decode_seconds > 0
                          ? (u.completion_tokens - 1) / finished.decode_seconds
                          : 0;
  if (rate > 0) metrics_.token_seconds.observe(1 / rate);
  if (record_ == nullptr) return;
  RequestLine answer;
  answer.model = options_.model;
  answer.prompt_tokens = u.prompt_tokens;
  answer.cached_tokens = u.cached_tokens;
  answer.replayed_tokens = options_.replayed_tokens;
  answer.output_tokens = u.completion_tokens;
  answer.queue_seconds = finished.queue_seconds;
  answer.prefill_seconds = finished.prefill_seconds;
  answer.tokens_per_second = rate;
  record_->add(answer);
}

}  // namespace kvasir::server
