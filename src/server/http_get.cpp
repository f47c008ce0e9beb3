#include "server/http_get.h"

#include <boost/asio.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

namespace kvasir::server {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;
using boost::system::error_code;

// Each step starts the next; the first that fails ends it.
class Get {
 public:
  Get(const HttpAddress& address, const std::string& target, const Headers& headers) : host_(address.host) {
    request_.method(http::verb::get);
    request_.target(target);
    request_.version(11);
    request_.set(http::field::host, address.host + ":" + std::to_string(address.port));
    request_.keep_alive(false);
    for (const auto& [name, value] : headers) request_.set(name, value);
    port_ = std::to_string(address.port);
  }

  Result<HttpResponse> run(std::chrono::milliseconds limit) {
    stream_.expires_after(limit);
    error_code error;
    const auto found = tcp::resolver(context_).resolve(host_, port_, error);
    if (!error) {
      stream_.async_connect(found, [this](error_code e, const tcp::endpoint&) { connected(e); });
      context_.run();
    } else {
      error_ = error;
    }
    if (error_) {
      return make_error(ErrorCode::kUnavailable,
                        "no answer from " + host_ + ":" + port_ + ": " + error_.message(), host_);
    }
    HttpResponse response{static_cast<int>(response_.result_int()), {}, std::move(response_.body())};
    for (const auto& field : response_) {
      response.headers.emplace_back(std::string(field.name_string()), std::string(field.value()));
    }
    return response;
  }

 private:
  void connected(error_code error) {
    error_ = error;
    if (error) return;
    http::async_write(stream_, request_, [this](error_code e, std::size_t) { written(e); });
  }
  void written(error_code error) {
    error_ = error;
    if (error) return;
    http::async_read(stream_, buffer_, response_, [this](error_code e, std::size_t) { error_ = e; });
  }

  asio::io_context context_;
  beast::tcp_stream stream_{context_};
  beast::flat_buffer buffer_;
  http::request<http::empty_body> request_;
  http::response<http::string_body> response_;
  std::string host_;
  std::string port_;
  error_code error_;
};

}  // namespace

Result<HttpResponse> http_get(const HttpAddress& address, const std::string& target, const Headers& headers,
                              std::chrono::milliseconds limit) {
  return Get(address, target, headers).run(limit);
}

}  // namespace kvasir::server
