#include "server/request_log.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cstdio>

namespace kvasir::server {
namespace {

namespace json = boost::json;

constexpr int kClientLeft = 499;
constexpr std::size_t kNameMost = 80;

// What a client sends of its own choice, made fit for a line: printable, without spaces, not long.
std::string name_of(std::string_view text) {
  std::string name(text.substr(0, std::min(text.find(' '), kNameMost)));
  for (char& c : name) {
    if (c <= ' ' || c > '~') c = '?';
  }
  return name;
}

// Polled by monitors, every few seconds.
bool is_routine(const RequestLine& line) {
  return line.status == 200 && (line.path == "/health" || line.path == "/metrics");
}

class LoggedExchange final : public Exchange {
 public:
  LoggedExchange(std::shared_ptr<RequestRecord> record, std::shared_ptr<Exchange> exchange)
      : record_(std::move(record)), exchange_(std::move(exchange)) {}
  ~LoggedExchange() override { record_->finish(); }
  LoggedExchange(const LoggedExchange&) = delete;
  LoggedExchange& operator=(const LoggedExchange&) = delete;

  void respond(HttpResponse response) override {
    record_->status(response.status);
    add_id(response.headers);
    exchange_->respond(std::move(response));
    record_->finish();
  }
  void begin_stream(int status, Headers headers) override {
    record_->status(status);
    add_id(headers);
    exchange_->begin_stream(status, std::move(headers));
  }
  void write(std::string data) override { exchange_->write(std::move(data)); }
  void end() override {
    exchange_->end();
    record_->finish();
  }
  void on_disconnect(std::function<void()> gone) override {
    exchange_->on_disconnect([record = record_, gone = std::move(gone)] {
      record->left();
      gone();
      record->finish();
    });
  }
  const std::shared_ptr<RequestRecord>& record() const { return record_; }

 private:
  // Anthropic's answers have an id already, which their bodies repeat: that is the one to find in the log.
  void add_id(Headers& headers) {
    const auto told = std::ranges::find(headers, "request-id", &Headers::value_type::first);
    if (told != headers.end()) record_->rename(told->second);
    headers.emplace_back("x-request-id", record_->id());
  }

  std::shared_ptr<RequestRecord> record_;
  std::shared_ptr<Exchange> exchange_;
};

}  // namespace

std::string text_line(const RequestLine& l) {
  std::string text = fmt::format("{} {} {} {}", l.id, l.method, l.path, l.status);
  if (!l.outcome.empty()) text += " " + l.outcome;
  if (l.choices > 0) {
    text += fmt::format(" model={} prompt={} cached={} new={} out={} queue={:.2f}s prefill={:.2f}s", l.model,
                        l.prompt_tokens, l.cached_tokens, l.prompt_tokens - l.cached_tokens, l.output_tokens,
                        l.queue_seconds, l.prefill_seconds);
    if (l.replayed_tokens > 0) text += fmt::format(" replayed={}", l.replayed_tokens);
    if (l.output_tokens > 0) text += fmt::format(" first={:.2f}s", l.first_token_seconds);
    if (l.tokens_per_second > 0) text += fmt::format(" rate={:.1f}/s", l.tokens_per_second);
  }
  text += fmt::format(" total={:.2f}s", l.total_seconds);
  if (!l.client.empty()) text += " client=" + l.client;
  if (!l.agent.empty()) text += " agent=" + l.agent;
  return text;
}

std::string json_line(const RequestLine& l, std::chrono::system_clock::time_point ended) {
  const auto millis = std::chrono::duration_cast<std::chrono::milliseconds>(ended.time_since_epoch()).count();
  json::object o{
      {"time", fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z",
                           fmt::gmtime(std::chrono::system_clock::to_time_t(ended)), millis % 1000)},
      {"id", l.id},
      {"method", l.method},
      {"path", l.path},
      {"status", l.status}};
  if (!l.outcome.empty()) o["outcome"] = l.outcome;
  if (l.choices > 0) {
    o["model"] = l.model;
    o["prompt_tokens"] = l.prompt_tokens;
    o["cached_tokens"] = l.cached_tokens;
    o["new_tokens"] = l.prompt_tokens - l.cached_tokens;
    o["replayed_tokens"] = l.replayed_tokens;
    o["output_tokens"] = l.output_tokens;
    o["queue_seconds"] = l.queue_seconds;
    o["prefill_seconds"] = l.prefill_seconds;
    o["first_token_seconds"] = l.first_token_seconds;
    o["tokens_per_second"] = l.tokens_per_second;
  }
  o["total_seconds"] = l.total_seconds;
  if (!l.client.empty()) o["client"] = l.client;
  if (!l.agent.empty()) o["agent"] = l.agent;
  return json::serialize(o);
}

RequestRecord::RequestRecord(const HttpRequest& request, std::string id, LogFormat format) : format_(format) {
  line_.id = std::move(id);
  line_.method = name_of(request.method);
  line_.path = name_of(request.path);
  line_.client = name_of(request.header("user-agent"));
  line_.agent = name_of(request.header("x-claude-code-agent-id"));
}

std::string RequestRecord::id() const {
  const std::lock_guard lock(mutex_);
  return line_.id;
}

void RequestRecord::rename(std::string id) {
  const std::lock_guard lock(mutex_);
  line_.id = std::move(id);
}

void RequestRecord::status(int status) {
  const std::lock_guard lock(mutex_);
  line_.status = status;
}

void RequestRecord::first_token(double seconds) {
  const std::lock_guard lock(mutex_);
  line_.first_token_seconds = seconds;
}

void RequestRecord::add(const RequestLine& answer) {
  const std::lock_guard lock(mutex_);
  line_.model = name_of(answer.model);
  line_.prompt_tokens = std::max(line_.prompt_tokens, answer.prompt_tokens);
  // Several answers to one prompt: the first reads it, the others find it.
  line_.cached_tokens =
      line_.choices == 0 ? answer.cached_tokens : std::min(line_.cached_tokens, answer.cached_tokens);
  line_.replayed_tokens = std::max(line_.replayed_tokens, answer.replayed_tokens);
  line_.output_tokens += answer.output_tokens;
  line_.queue_seconds = std::max(line_.queue_seconds, answer.queue_seconds);
  line_.prefill_seconds = std::max(line_.prefill_seconds, answer.prefill_seconds);
  line_.tokens_per_second += answer.tokens_per_second;
  ++line_.choices;
}

void RequestRecord::failed() {
  const std::lock_guard lock(mutex_);
  line_.outcome = "failed";
}

void RequestRecord::answered() {
  const std::lock_guard lock(mutex_);
  answered_ = true;
}

void RequestRecord::left() {
  const std::lock_guard lock(mutex_);
  if (!finished_ && !answered_) line_.status = kClientLeft;
}

void RequestRecord::finish() {
  const std::lock_guard lock(mutex_);
  if (std::exchange(finished_, true) || format_ == LogFormat::kNone || is_routine(line_)) return;
  line_.total_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - received_).count();
  if (format_ == LogFormat::kText) {
    spdlog::info("{}", text_line(line_));
  } else {
    // For a program to read: without the log's own prefix, whole in one call.
    const std::string line = json_line(line_, std::chrono::system_clock::now()) + "\n";
    (void)std::fwrite(line.data(), 1, line.size(), stderr);
  }
}

std::shared_ptr<Exchange> logged(const HttpRequest& request, std::string id, LogFormat format,
                                 std::shared_ptr<Exchange> exchange) {
  return std::make_shared<LoggedExchange>(std::make_shared<RequestRecord>(request, std::move(id), format),
                                          std::move(exchange));
}

std::shared_ptr<RequestRecord> record_of(const Exchange& exchange) {
  const auto* behind = dynamic_cast<const LoggedExchange*>(&exchange);
  return behind != nullptr ? behind->record() : nullptr;
}

}  // namespace kvasir::server
