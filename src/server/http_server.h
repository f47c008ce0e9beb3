#pragma once
// A small HTTP/1.1 server: connections, limits, time-outs, streaming, disconnects. It knows no route and no
// API.
//
// Threads: the handler is called on one of the server's own threads and should not block long; an Exchange
// may be used from any thread. One request of a connection is handled at a time.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace kvasir::server {

using Headers = std::vector<std::pair<std::string, std::string>>;

struct HttpRequest {
  std::string method;  // "GET", "POST", ...
  std::string path;    // without the query, percent-decoding not applied
  std::string query;   // after '?', or empty
  std::string body;
  Headers headers;

  // First header of that name, letters of either case; empty where there is none.
  std::string_view header(std::string_view name) const;
};

struct HttpResponse {
  int status = 200;
  Headers headers;  // Content-Length, Connection and Date are added
  std::string body;
};

// One request being answered. Either respond() once, or begin_stream(), write() any number of times and
// end(). Calls after the client has gone away do nothing. An Exchange that is destroyed unanswered answers
// 500.
class Exchange {
 public:
  virtual ~Exchange() = default;
  virtual void respond(HttpResponse response) = 0;
  virtual void begin_stream(int status, Headers headers) = 0;
  virtual void write(std::string data) = 0;  // queued; never blocks
  virtual void end() = 0;
  // `gone` is called at most once, on a server thread, when the client closes before the answer is complete;
  // at once if it already has. Dropped when the answer is complete.
  virtual void on_disconnect(std::function<void()> gone) = 0;
};

using Handler = std::function<void(HttpRequest, std::shared_ptr<Exchange>)>;

struct HttpOptions {
  std::string host = "127.0.0.1";
  std::uint16_t port = 0;  // 0: any free one
  std::size_t threads = 2;
  std::size_t body_limit = std::size_t{64} << 20;
  std::size_t header_limit = std::size_t{64} << 10;
  std::uint32_t header_seconds = 30;  // a request's headers must arrive within
  std::uint32_t body_seconds = 60;    // and each further read of its body within
  std::uint32_t idle_seconds = 300;   // between two requests of a connection
  std::size_t connection_limit = 4096;
  // Called with the headers alone, before a body is read: a response refuses the request.
  std::function<std::unique_ptr<HttpResponse>(const HttpRequest&)> guard;
  // Headers that every answer to a request has beside its own; may be empty.
  std::function<Headers(const HttpRequest&)> common_headers;
  // Shapes an error that the server itself finds (400, 408, 413, 431): status, sentence, the request as far
  // as known.
  std::function<HttpResponse(int, const std::string&, const HttpRequest&)> shape_error;
};

class HttpServer {
 public:
  // Listens at once. kIo with one clear line where the address cannot be had.
  static Result<std::unique_ptr<HttpServer>> start(HttpOptions options, Handler handler);
  // Closes everything at once.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  std::uint16_t port() const;
  // Takes no new connections, lets answers in flight finish for at most `seconds`, then closes. Returns true
  // when all had finished.
  bool drain(double seconds);

 private:
  class Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace kvasir::server
