#pragma once
// HTTP as the hub needs it, over libcurl: GET and HEAD, redirects, ranges, and bytes as they come.
//
// A token goes to the host of the first URL only: never on to another that it redirects to. Proxies and
// certificates are taken from the environment as curl and Python's requests do (https_proxy, SSL_CERT_FILE,
// REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE). One thread at a time for each client; connections are kept between
// calls.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/error.h"

namespace kvasir::hub {

struct HttpRequest {
  std::string url;
  std::string token;       // sent as a bearer's; may be empty
  bool head = false;       // headers only
  std::uint64_t from = 0;  // first byte that is wanted: a Range, where it is not 0
  // A HEAD to learn what a file is stops where the answer sends it to another host: the headers of interest
  // are the hub's.
  bool stay_on_host = false;
};

struct HttpResponse {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case; of the last answer
  std::optional<std::string> header(const std::string& name) const;
};

// Called with the headers before the first byte, then for every piece; false ends the transfer.
struct HttpSink {
  std::function<bool(const HttpResponse&)> begin;
  std::function<bool(std::span<const std::byte>)> data;
};

class HttpClient {
 public:
  HttpClient();
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // The answer behind redirects, whatever its status. kUnavailable where no whole answer came (worth another
  // try), kCancelled where the sink ended it, kInvalidArgument for a URL that cannot be, kForbidden for a
  // redirect from https to http. Only bodies of 2xx answers go to the sink.
  Result<HttpResponse> send(const HttpRequest& request, const HttpSink& sink = {});
  // The body as text (empty where the status is not 2xx); kTooLarge over `most` bytes.
  Result<std::pair<HttpResponse, std::string>> get_text(HttpRequest request, std::size_t most);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Scheme, host and port of a URL, as one text; empty where there is none.
std::string origin_of(const std::string& url);

}  // namespace kvasir::hub
