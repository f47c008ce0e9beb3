#include "server/http_server.h"

#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <boost/asio.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>

namespace kvasir::server {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;
using boost::system::error_code;
using namespace asio::experimental::awaitable_operators;  // NOLINT: operators only

constexpr auto kNoThrow = asio::as_tuple(asio::use_awaitable);
// What one read of a body asks the socket for; Beast's own default of 1.5 KB makes a large body slow.
constexpr std::size_t kReadBytes = std::size_t{64} << 10;

bool same_name(std::string_view a, std::string_view b) {
  return beast::iequals({a.data(), a.size()}, {b.data(), b.size()});
}

// The answer to one request, filled from any thread, drained by the connection's coroutine. All state lives
// on the connection's strand; the public calls post there.
//
// An Exchange may outlive its connection, and even the server: what belongs to the server's event loop
// (strand, timer) is in Live, in the connection's own frame, and reached under a lock only while it is
// attached.
class ExchangeState : public std::enable_shared_from_this<ExchangeState> {
 public:
  class Live {
   public:
    Live(asio::any_io_executor strand, std::shared_ptr<ExchangeState> state)
        : strand_(strand), wake_(strand, asio::steady_timer::time_point::max()), state_(std::move(state)) {
      const std::lock_guard lock(state_->mutex_);
      state_->live_ = this;
    }
    ~Live() {
      const std::lock_guard lock(state_->mutex_);
      state_->live_ = nullptr;
    }
    Live(const Live&) = delete;
    Live& operator=(const Live&) = delete;
    // Until something has happened to the state. On the strand.
    asio::awaitable<void> changed() { co_await wake_.async_wait(kNoThrow); }

   private:
    friend class ExchangeState;
    asio::any_io_executor strand_;
    asio::steady_timer wake_;
    std::shared_ptr<ExchangeState> state_;
  };

  // Runs f on the strand, or not at all once the connection has ended.
  template <class F>
  void post(F f) {
    const std::lock_guard lock(mutex_);
    if (live_ == nullptr) return;
    asio::post(live_->strand_, [self = shared_from_this(), f = std::move(f)]() mutable {
      f(*self);
      self->wake();
    });
  }

  // On the strand.
  void client_gone() {
    gone_ = true;
    queue_.clear();
    if (auto call = std::exchange(on_gone_, nullptr)) call();
    wake();
  }
  void close() {  // nobody listens any more
    gone_ = true;
    on_gone_ = nullptr;
    queue_.clear();
  }

  bool started_ = false;  // head_ is set
  bool stream_ = false;
  bool ended_ = false;
  bool gone_ = false;
  HttpResponse head_;
  Headers common_;  // the head's, beside its own
  std::deque<std::string> queue_;
  std::function<void()> on_gone_;

 private:
  void wake() {
    const std::lock_guard lock(mutex_);
    if (live_ != nullptr) live_->wake_.cancel();
  }

  std::mutex mutex_;
  Live* live_ = nullptr;
};

class ExchangeHandle final : public Exchange {
 public:
  explicit ExchangeHandle(std::shared_ptr<ExchangeState> state) : state_(std::move(state)) {}
  ~ExchangeHandle() override {
    state_->post([](ExchangeState& s) {
      if (!s.started_) {
        s.head_ = {500, {}, "the request was not answered\n"};
        s.started_ = true;
      }
      s.ended_ = true;
    });
  }
  void respond(HttpResponse response) override {
    state_->post([r = std::move(response)](ExchangeState& s) mutable {
      if (s.started_ || s.gone_) return;
      s.head_ = std::move(r);
      s.started_ = s.ended_ = true;
    });
  }
  void begin_stream(int status, Headers headers) override {
    state_->post([status, h = std::move(headers)](ExchangeState& s) mutable {
      if (s.started_ || s.gone_) return;
      s.head_ = {status, std::move(h), {}};
      s.started_ = s.stream_ = true;
    });
  }
  void write(std::string data) override {
    state_->post([d = std::move(data)](ExchangeState& s) mutable {
      if (s.stream_ && !s.ended_ && !s.gone_ && !d.empty()) s.queue_.push_back(std::move(d));
    });
  }
  void end() override {
    state_->post([](ExchangeState& s) { s.ended_ = true; });
  }
  void on_disconnect(std::function<void()> gone) override {
    state_->post([g = std::move(gone)](ExchangeState& s) mutable {
      if (s.ended_) return;
      if (s.gone_)
        g();
      else
        s.on_gone_ = std::move(g);
    });
  }

 private:
  std::shared_ptr<ExchangeState> state_;
};

HttpResponse plain_error(int status, const std::string& sentence, const HttpRequest& /*request*/) {
  return {status, {{"Content-Type", "text/plain; charset=utf-8"}}, sentence + "\n"};
}

HttpRequest request_from(const http::request_parser<http::string_body>& parser) {
  const auto& message = parser.get();
  HttpRequest r;
  r.method = std::string(message.method_string());
  const std::string target(message.target());
  const std::size_t mark = target.find('?');
  r.path = target.substr(0, mark);
  if (mark != std::string::npos) r.query = target.substr(mark + 1);
  for (const auto& field : message)
    r.headers.emplace_back(std::string(field.name_string()), std::string(field.value()));
  return r;
}

}  // namespace

std::string_view HttpRequest::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (same_name(key, name)) return value;
  }
  return {};
}

class HttpServer::Impl {
 public:
  Impl(HttpOptions options, Handler handler) : options_(std::move(options)), handler_(std::move(handler)) {
    if (!options_.shape_error) options_.shape_error = plain_error;
    if (!options_.common_headers) options_.common_headers = [](const HttpRequest&) { return Headers(); };
  }

  ~Impl() {
    context_.stop();
    for (std::thread& t : threads_) t.join();
  }

  Status listen() {
    const std::string where = options_.host + ":" + std::to_string(options_.port);
    error_code error;
    const auto address =
        asio::ip::make_address(options_.host == "localhost" ? "127.0.0.1" : options_.host, error);
    if (error)
      return make_error(ErrorCode::kInvalidArgument, "--host " + options_.host + " is not an IP address");
    const tcp::endpoint endpoint(address, options_.port);
    if (acceptor_.open(endpoint.protocol(), error); !error) {
      acceptor_.set_option(asio::socket_base::reuse_address(true), error);
      acceptor_.bind(endpoint, error);
      if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
    }
    if (error) {
      return make_error(ErrorCode::kIo, "cannot listen on " + where + ": " + error.message() +
                                            (error == asio::error::address_in_use
                                                 ? " (another server runs there; choose another --port)"
                                                 : ""));
    }
    port_ = acceptor_.local_endpoint().port();
    asio::co_spawn(acceptor_.get_executor(), accept(), asio::detached);
    for (std::size_t i = 0; i < std::max<std::size_t>(options_.threads, 1); ++i) {
      threads_.emplace_back([this] { context_.run(); });
    }
    return {};
  }

  std::uint16_t port() const { return port_; }

  bool drain(double seconds) {
    asio::post(acceptor_.get_executor(), [this] {
      error_code ignored;
      acceptor_.close(ignored);
    });
    draining_ = true;
    std::unique_lock lock(mutex_);
    return idle_.wait_for(lock, std::chrono::duration<double>(seconds), [this] { return busy_ == 0; });
  }

 private:
  asio::awaitable<void> accept() {
    while (acceptor_.is_open()) {
      auto [error, socket] = co_await acceptor_.async_accept(asio::make_strand(context_), kNoThrow);
      if (error) {
        if (!acceptor_.is_open()) co_return;
        // Out of descriptors, most likely: wait a little rather than spin.
        asio::steady_timer pause(acceptor_.get_executor(), std::chrono::milliseconds(50));
        co_await pause.async_wait(kNoThrow);
        continue;
      }
      if (connections_.load() >= options_.connection_limit) continue;  // closes it
      error_code ignored;
      socket.set_option(tcp::no_delay(true), ignored);
      auto strand = socket.get_executor();
      asio::co_spawn(strand, serve(std::move(socket)), asio::detached);
    }
  }

  // Counts requests being answered, for drain().
  class Busy {
   public:
    explicit Busy(Impl& server) : server_(server) {
      const std::lock_guard lock(server_.mutex_);
      ++server_.busy_;
    }
    ~Busy() {
      const std::lock_guard lock(server_.mutex_);
      if (--server_.busy_ == 0) server_.idle_.notify_all();
    }
    Busy(const Busy&) = delete;
    Busy& operator=(const Busy&) = delete;

   private:
    Impl& server_;
  };

  asio::awaitable<void> serve(tcp::socket socket) {
    ++connections_;
    try {
      beast::tcp_stream stream(std::move(socket));
      beast::flat_buffer buffer;
      buffer.reserve(kReadBytes);
      bool first = true;
      while (!draining_ && co_await one_request(stream, buffer, first)) first = false;
      error_code ignored;
      stream.socket().shutdown(tcp::socket::shutdown_send, ignored);
    } catch (const std::exception&) {
      // A failed connection is the client's affair; nothing of ours is lost with it.
    }
    --connections_;
  }

  // Reads one request and answers it; true when the connection goes on.
  asio::awaitable<bool> one_request(beast::tcp_stream& stream, beast::flat_buffer& buffer, bool first) {
    http::request_parser<http::string_body> parser;
    parser.header_limit(static_cast<std::uint32_t>(options_.header_limit));
    parser.body_limit(boost::none);  // checked below, with an answer of our own
    // The time-out for headers starts with their first byte on a kept-alive connection.
    if (!first && buffer.size() == 0) {
      stream.expires_after(std::chrono::seconds(options_.idle_seconds));
      auto [error, n] = co_await stream.async_read_some(buffer.prepare(kReadBytes), kNoThrow);
      if (error) co_return false;
      buffer.commit(n);
    }
    const error_code header_error = co_await before(
        options_.header_seconds, stream, http::async_read_header(stream, buffer, parser, kNoThrow));
    HttpRequest request = request_from(parser);
    if (header_error) {
      if (buffer.size() > 0 || header_error != http::error::end_of_stream) {
        co_await refuse_read(stream, header_error, request);
      }
      co_return false;
    }
    const Busy busy(*this);
    const Headers common = options_.common_headers(request);
    if (options_.guard) {
      if (auto refusal = options_.guard(request)) {
        add(*refusal, common);
        co_await send_whole(stream, *refusal, parser.get().version(), false);
        co_await discard(stream, buffer);
        co_return false;
      }
    }
    if (parser.content_length().value_or(0) > options_.body_limit) {
      co_await refuse_size(stream, request);
      co_await discard(stream, buffer);
      co_return false;
    }
    if (beast::iequals(parser.get()[http::field::expect], "100-continue")) {
      http::response<http::empty_body> proceed(http::status::continue_, parser.get().version());
      stream.expires_after(std::chrono::seconds(options_.body_seconds));
      auto [error, n] = co_await http::async_write(stream, proceed, kNoThrow);
      (void)n;
      if (error) co_return false;
    }
    while (!parser.is_done()) {
      const error_code error = co_await before(options_.body_seconds, stream,
                                               http::async_read_some(stream, buffer, parser, kNoThrow));
      if (error) {
        co_await refuse_read(stream, error, request);
        co_return false;
      }
      if (parser.get().body().size() > options_.body_limit) {
        co_await refuse_size(stream, request);
        co_await discard(stream, buffer);
        co_return false;
      }
    }
    const bool keep = parser.get().keep_alive();
    const unsigned version = parser.get().version();
    request.body = std::move(parser.get().body());
    stream.expires_never();
    auto state = std::make_shared<ExchangeState>();
    state->common_ = common;
    ExchangeState::Live live(stream.get_executor(), state);
    const bool head = request.method == "HEAD";
    handler_(std::move(request), std::make_shared<ExchangeHandle>(state));
    // Whoever is first ends the other: the answer is complete, or the client is gone.
    co_await (answer(stream, *state, live, version, keep, head) || watch(stream, buffer, *state));
    const bool complete = !state->gone_;
    const bool ends_with_connection = state->stream_ && version < 11;
    state->close();
    co_return keep&& complete && !ends_with_connection && !draining_;
  }

  // A read that must end within `seconds`. Unlike tcp_stream's own time-out it leaves the socket open, so
  // that a slow sender can still be told.
  static asio::awaitable<error_code> before(std::uint32_t seconds, beast::tcp_stream& stream,
                                            asio::awaitable<std::tuple<error_code, std::size_t>> read) {
    stream.expires_never();
    asio::steady_timer timer(stream.get_executor(), std::chrono::seconds(seconds));
    const auto first = co_await (std::move(read) || timer.async_wait(kNoThrow));
    if (first.index() == 1) co_return error_code(beast::error::timeout);
    co_return std::get<0>(std::get<0>(first));
  }

  asio::awaitable<void> refuse_read(beast::tcp_stream& stream, error_code error, const HttpRequest& request) {
    int status = 400;
    std::string sentence = "the request is not valid HTTP: " + error.message();
    if (error == beast::error::timeout) {
      status = 408;
      sentence = "the request did not arrive in time";
    } else if (error == http::error::header_limit) {
      status = 431;
      sentence = "the request's headers are larger than " + std::to_string(options_.header_limit) + " bytes";
    } else if (error == http::error::partial_message || error == asio::error::eof ||
               error == asio::error::connection_reset) {
      co_return;  // the client hung up
    }
    co_await send_error(stream, status, sentence, request);
  }

  asio::awaitable<void> refuse_size(beast::tcp_stream& stream, const HttpRequest& request) {
    const std::string sentence =
        "the request body is larger than " + std::to_string(options_.body_limit) + " bytes";
    co_await send_error(stream, 413, sentence, request);
  }

  asio::awaitable<void> send_error(beast::tcp_stream& stream, int status, const std::string& sentence,
                                   const HttpRequest& request) {
    HttpResponse response = options_.shape_error(status, sentence, request);
    add(response, options_.common_headers(request));
    co_await send_whole(stream, response, 11, false);
  }

  static void add(HttpResponse& response, const Headers& common) {
    response.headers.insert(response.headers.end(), common.begin(), common.end());
  }

  // Reads what a refused client still sends, for a moment: closing at once would reset the connection before
  // it has read its answer.
  asio::awaitable<void> discard(beast::tcp_stream& stream, beast::flat_buffer& buffer) {
    error_code ignored;
    stream.socket().shutdown(tcp::socket::shutdown_send, ignored);
    stream.expires_after(std::chrono::seconds(2));
    buffer.consume(buffer.size());
    for (;;) {
      auto [error, n] = co_await stream.async_read_some(buffer.prepare(kReadBytes), kNoThrow);
      (void)n;
      if (error) co_return;
    }
  }

  asio::awaitable<bool> send_whole(beast::tcp_stream& stream, const HttpResponse& r, unsigned version,
                                   bool keep, bool head = false) {
    http::response<http::string_body> message(static_cast<http::status>(r.status), version);
    for (const auto& [key, value] : r.headers) message.insert(key, value);
    message.keep_alive(keep);
    message.body() = head ? std::string() : r.body;
    if (r.status != 204) message.content_length(r.body.size());  // RFC 9110, 8.6: a 204 has none
    stream.expires_after(std::chrono::seconds(options_.body_seconds));
    http::response_serializer<http::string_body> serializer(message);
    auto [error, n] = co_await http::async_write(stream, serializer, kNoThrow);
    (void)n;
    stream.expires_never();
    co_return !error;
  }

  // Sends what the handler has given, as it comes.
  asio::awaitable<void> answer(beast::tcp_stream& stream, ExchangeState& state, ExchangeState::Live& live,
                               unsigned version, bool keep, bool head) {
    while (!state.started_ && !state.gone_) co_await live.changed();
    if (state.gone_) co_return;
    add(state.head_, state.common_);
    if (!state.stream_) {
      if (!co_await send_whole(stream, state.head_, version, keep, head)) state.client_gone();
      co_return;
    }
    http::response<http::empty_body> message(static_cast<http::status>(state.head_.status), version);
    for (const auto& [key, value] : state.head_.headers) message.insert(key, value);
    // HTTP/1.0 knows no chunks: the answer ends with the connection.
    const bool chunks = version >= 11;
    message.keep_alive(keep && chunks);
    if (chunks) message.chunked(true);
    http::response_serializer<http::empty_body> serializer(message);
    auto [head_error, head_bytes] = co_await http::async_write_header(stream, serializer, kNoThrow);
    (void)head_bytes;
    if (head_error) {
      state.client_gone();
      co_return;
    }
    while (!state.gone_) {
      if (state.queue_.empty()) {
        if (state.ended_) break;
        co_await live.changed();
        continue;
      }
      std::string data;
      for (; !state.queue_.empty(); state.queue_.pop_front()) data += state.queue_.front();
      stream.expires_after(std::chrono::seconds(options_.body_seconds));
      const error_code error = co_await send_piece(stream, data, chunks);
      stream.expires_never();
      if (error) {
        state.client_gone();
        co_return;
      }
    }
    if (state.gone_ || !chunks) co_return;
    auto [error, n] = co_await asio::async_write(stream, http::make_chunk_last(), kNoThrow);
    (void)n;
    if (error) state.client_gone();
  }

  static asio::awaitable<error_code> send_piece(beast::tcp_stream& stream, const std::string& data,
                                                bool chunk) {
    if (chunk) {
      auto [error, n] = co_await asio::async_write(stream, http::make_chunk(asio::buffer(data)), kNoThrow);
      (void)n;
      co_return error;
    }
    auto [error, n] = co_await asio::async_write(stream, asio::buffer(data), kNoThrow);
    (void)n;
    co_return error;
  }

  // Ends when the client closes its side. A client that sends its next request early is not watched any
  // further.
  asio::awaitable<void> watch(beast::tcp_stream& stream, const beast::flat_buffer& buffer,
                              ExchangeState& state) {
    while (buffer.size() == 0) {
      auto [error] = co_await stream.socket().async_wait(tcp::socket::wait_read, kNoThrow);
      if (error == asio::error::operation_aborted) co_return;
      char byte = 0;
      const auto n = ::recv(stream.socket().native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
      // The wait may end for bytes of the last request, read since: nothing has come then.
      if (!error && n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) continue;
      if (error || n <= 0) {
        state.client_gone();
        co_return;
      }
      break;
    }
    asio::steady_timer never(stream.get_executor(), asio::steady_timer::time_point::max());
    co_await never.async_wait(kNoThrow);
  }

  HttpOptions options_;
  Handler handler_;
  asio::io_context context_;
  // On a strand of its own: drain() closes it while accept() may be between two connections on another
  // thread.
  tcp::acceptor acceptor_{asio::make_strand(context_)};
  std::uint16_t port_ = 0;
  std::atomic<std::size_t> connections_{0};
  std::atomic<bool> draining_{false};
  std::mutex mutex_;
  std::condition_variable idle_;
  std::size_t busy_ = 0;
  std::vector<std::thread> threads_;
};

Result<std::unique_ptr<HttpServer>> HttpServer::start(HttpOptions options, Handler handler) {
  auto impl = std::make_unique<Impl>(std::move(options), std::move(handler));
  KVASIR_RETURN_IF_ERROR(impl->listen());
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpServer::~HttpServer() = default;
std::uint16_t HttpServer::port() const {
  return impl_->port();
}
bool HttpServer::drain(double seconds) {
  return impl_->drain(seconds);
}

}  // namespace kvasir::server
