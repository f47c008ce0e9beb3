// The HTTP server over real sockets on loopback.

#include "server/http_server.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace kvasir::server {
namespace {

class Client {
 public:
  explicit Client(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    timeval limit{10, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  }
  ~Client() { close(); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  void send(const std::string& text) { (void)::send(fd_, text.data(), text.size(), MSG_NOSIGNAL); }
  // Reads until `end` has been seen, or the server closes.
  std::string read_until(const std::string& end) {
    std::string text;
    char buffer[4096];
    while (text.find(end) == std::string::npos) {
      const auto n = ::recv(fd_, buffer, sizeof(buffer), 0);
      if (n <= 0) break;
      text.append(buffer, static_cast<std::size_t>(n));
    }
    return text;
  }
  std::string read_all() { return read_until("\x01never"); }

 private:
  int fd_;
};

// A flag that a test waits for.
class Flag {
 public:
  void set() {
    const std::lock_guard lock(mutex_);
    set_ = true;
    changed_.notify_all();
  }
  bool wait() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(10), [this] { return set_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool set_ = false;
};

std::unique_ptr<HttpServer> start(Handler handler, HttpOptions options = {}) {
  auto server = HttpServer::start(std::move(options), std::move(handler));
  EXPECT_TRUE(server.ok());
  return std::move(server).value();
}

void echo(HttpRequest request, std::shared_ptr<Exchange> exchange) {
  exchange->respond(
      {200, {{"Content-Type", "text/plain"}}, request.method + " " + request.path + " " + request.body});
}

TEST(HttpServer, AnswersSeveralRequestsOnOneConnection) {
  const auto server = start(echo);
  Client client(server->port());
  client.send("POST /a?x=1 HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi");
  EXPECT_NE(client.read_until("POST /a hi").find("HTTP/1.1 200 OK"), std::string::npos);
  client.send("GET /b HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  EXPECT_NE(client.read_all().find("GET /b "), std::string::npos);
}

TEST(HttpServer, AnswersPipelinedRequestsInOrder) {
  const auto server = start(echo);
  Client client(server->port());
  client.send("GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  const std::string all = client.read_all();
  EXPECT_LT(all.find("GET /1"), all.find("GET /2"));
  EXPECT_NE(all.find("GET /2"), std::string::npos);
}

TEST(HttpServer, StreamsChunksAsTheyAreWritten) {
  Flag first_read;
  std::thread worker;
  const auto server = start([&](HttpRequest, std::shared_ptr<Exchange> exchange) {
    worker = std::thread([exchange = std::move(exchange), &first_read] {
      exchange->begin_stream(200, {{"Content-Type", "text/event-stream"}});
      exchange->write("data: 1\n\n");
      EXPECT_TRUE(first_read.wait());  // the client has it before the answer is complete
      exchange->write("data: 2\n\n");
      exchange->end();
    });
  });
  Client client(server->port());
  client.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  EXPECT_NE(client.read_until("data: 1\n\n").find("Transfer-Encoding: chunked"), std::string::npos);
  first_read.set();
  EXPECT_NE(client.read_all().find("data: 2\n\n\r\n0\r\n\r\n"), std::string::npos);
  worker.join();
}

TEST(HttpServer, TellsWhenTheClientHasGone) {
  Flag gone;
  std::shared_ptr<Exchange> kept;
  Flag called;
  const auto server = start([&](HttpRequest, std::shared_ptr<Exchange> exchange) {
    exchange->begin_stream(200, {});
    exchange->write("started");
    exchange->on_disconnect([&] { gone.set(); });
    kept = std::move(exchange);
    called.set();
  });
  Client client(server->port());
  client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  client.read_until("started");
  EXPECT_TRUE(called.wait());
  client.close();
  EXPECT_TRUE(gone.wait());
  kept->write("nobody reads this");
  kept->end();
}

TEST(HttpServer, AnExchangeDroppedUnansweredIsA500) {
  const auto server = start([](HttpRequest, std::shared_ptr<Exchange>) {});
  Client client(server->port());
  client.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  EXPECT_NE(client.read_all().find("HTTP/1.1 500"), std::string::npos);
}

TEST(HttpServer, RefusesABodyOverTheLimit) {
  HttpOptions options;
  options.body_limit = 100;
  const auto server = start(echo, options);
  Client declared(server->port());
  declared.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000000\r\n\r\nxxxx");
  EXPECT_NE(declared.read_until("\r\n\r\n").find("HTTP/1.1 413"), std::string::npos);
  Client chunked(server->port());
  chunked.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (int i = 0; i < 20; ++i) chunked.send("10\r\n0123456789abcdef\r\n");
  EXPECT_NE(chunked.read_until("\r\n\r\n").find("HTTP/1.1 413"), std::string::npos);
}

TEST(HttpServer, RefusesWhatIsNotHttpAndGoesOn) {
  const auto server = start(echo);
  Client bad(server->port());
  bad.send("\x16\x03\x01 this is no HTTP\r\n\r\n");
  EXPECT_NE(bad.read_all().find("HTTP/1.1 400"), std::string::npos);
  Client large(server->port());
  large.send("GET / HTTP/1.1\r\nHost: h\r\nX: " + std::string(100000, 'a') + "\r\n\r\n");
  EXPECT_NE(large.read_all().find("HTTP/1.1 431"), std::string::npos);
  Client good(server->port());
  good.send("GET /ok HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  EXPECT_NE(good.read_all().find("GET /ok"), std::string::npos);
}

TEST(HttpServer, TimesOutASlowSender) {
  HttpOptions options;
  options.header_seconds = 1;
  options.body_seconds = 1;
  const auto server = start(echo, options);
  Client header(server->port());
  header.send("GET / HTTP/1.1\r\nHos");
  Client body(server->port());
  body.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhalf");
  EXPECT_NE(header.read_all().find("HTTP/1.1 408"), std::string::npos);
  EXPECT_NE(body.read_all().find("HTTP/1.1 408"), std::string::npos);
}

TEST(HttpServer, GuardRefusesBeforeTheBodyIsRead) {
  HttpOptions options;
  options.guard = [](const HttpRequest& request) -> std::unique_ptr<HttpResponse> {
    if (request.header("X-KEY") == "k") return nullptr;
    return std::make_unique<HttpResponse>(HttpResponse{401, {}, "no key"});
  };
  const auto server = start(echo, options);
  Client without(server->port());
  without.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10000000\r\n\r\n");
  EXPECT_NE(without.read_until("no key").find("HTTP/1.1 401"), std::string::npos);
  Client with(server->port());
  with.send("GET / HTTP/1.1\r\nHost: h\r\nx-key: k\r\nConnection: close\r\n\r\n");
  EXPECT_NE(with.read_all().find("HTTP/1.1 200"), std::string::npos);
}

TEST(HttpServer, ATakenPortIsOneClearError) {
  const auto server = start(echo);
  HttpOptions options;
  options.port = server->port();
  const auto second = HttpServer::start(options, echo);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, ErrorCode::kIo);
  EXPECT_NE(second.error().message.find("cannot listen on 127.0.0.1:" + std::to_string(server->port())),
            std::string::npos);
}

TEST(HttpServer, DrainLetsAnswersInFlightFinish) {
  std::thread worker;
  Flag started;
  const auto server = start([&](HttpRequest, std::shared_ptr<Exchange> exchange) {
    worker = std::thread([exchange = std::move(exchange)] {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      exchange->respond({200, {}, "finished"});
    });
    started.set();
  });
  Client client(server->port());
  client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  ASSERT_TRUE(started.wait());
  EXPECT_TRUE(server->drain(10));
  EXPECT_NE(client.read_all().find("finished"), std::string::npos);
  worker.join();
}

TEST(HttpServer, DrainMayComeWhileAClientConnects) {
  for (int round = 0; round < 20; ++round) {
    const auto server = start(echo);
    const Client client(server->port());  // accepted on one thread while drain() closes the port from another
    EXPECT_TRUE(server->drain(10));
  }
}

}  // namespace
}  // namespace kvasir::server
