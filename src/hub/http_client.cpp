#include "hub/http_client.h"

#include <curl/curl.h>

#include <algorithm>
#include <cctype>
#include <string_view>

#include "base/check.h"
#include "base/process.h"
#include "base/version.h"

namespace kvasir::hub {
namespace {

constexpr int kMostRedirects = 10;
constexpr long kConnectSeconds = 15;
// No byte for so long: the connection is given up and made anew.
constexpr long kSilentSeconds = 30;
constexpr std::size_t kMostHeaderBytes = 256 << 10;

struct UrlDeleter {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
struct ListDeleter {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front())) != 0) text.remove_prefix(1);
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())) != 0) text.remove_suffix(1);
  return text;
}

// One exchange, without redirects.
struct Exchange {
  CURL* curl = nullptr;
  const HttpSink* sink = nullptr;
  HttpResponse response;
  std::size_t header_bytes = 0;
  bool begun = false;
  bool refused = false;  // by the sink

  static std::size_t on_header(char* data, std::size_t size, std::size_t count, void* self) {
    auto& e = *static_cast<Exchange*>(self);
    const std::string_view line(data, size * count);
    e.header_bytes += line.size();
    if (e.header_bytes > kMostHeaderBytes) return 0;
    if (line.starts_with("HTTP/")) e.response.headers.clear();  // behind a 100 or a proxy's answer
    const std::size_t colon = line.find(':');
    if (colon != std::string_view::npos)
      e.response.headers[lower(line.substr(0, colon))] = trimmed(line.substr(colon + 1));
    return line.size();
  }

  static std::size_t on_data(char* data, std::size_t size, std::size_t count, void* self) {
    auto& e = *static_cast<Exchange*>(self);
    const std::size_t bytes = size * count;
    long status = 0;
    curl_easy_getinfo(e.curl, CURLINFO_RESPONSE_CODE, &status);
    e.response.status = static_cast<int>(status);
    if (status / 100 != 2) return bytes;
    if (!e.begun) {
      e.begun = true;
      if (e.sink->begin && !e.sink->begin(e.response)) return e.refuse();
    }
    if (e.sink->data && !e.sink->data(std::as_bytes(std::span(data, bytes)))) return e.refuse();
    return bytes;
  }
  std::size_t refuse() {
    refused = true;
    return 0;
  }
};

}  // namespace

struct HttpClient::Impl {
  CURL* curl = nullptr;
};

std::optional<std::string> HttpResponse::header(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? std::nullopt : std::optional(found->second);
}

std::string origin_of(const std::string& url) {
  const std::unique_ptr<CURLU, UrlDeleter> parsed(curl_url());
  if (curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK) return {};
  std::string origin;
  for (const CURLUPart part : {CURLUPART_SCHEME, CURLUPART_HOST, CURLUPART_PORT}) {
    char* text = nullptr;
    if (curl_url_get(parsed.get(), part, &text, CURLU_DEFAULT_PORT) != CURLUE_OK) return {};
    origin += lower(text) + " ";
    curl_free(text);
  }
  return origin;
}

HttpClient::HttpClient() : impl_(std::make_unique<Impl>()) {
  static const CURLcode ready = curl_global_init(CURL_GLOBAL_DEFAULT);
  KVASIR_CHECK(ready == CURLE_OK, "libcurl starts");
  impl_->curl = curl_easy_init();
  KVASIR_CHECK(impl_->curl != nullptr, "libcurl makes a handle");
}

HttpClient::~HttpClient() {
  curl_easy_cleanup(impl_->curl);
}

namespace {

void set_up(CURL* curl, const HttpRequest& request, const std::string& url, Exchange& exchange) {
  curl_easy_reset(curl);  // connections stay
  curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_USERAGENT, (std::string("kvasir/") + kVersion).c_str());
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, kSilentSeconds);
  curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, 512L << 10);
  if (request.head) curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, &Exchange::on_header);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &exchange);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, &Exchange::on_data);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &exchange);
  for (const char* name : {"SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"}) {
    if (const auto bundle = environment(name)) {
      curl_easy_setopt(curl, CURLOPT_CAINFO, bundle->c_str());
      break;
    }
  }
}

}  // namespace

Result<HttpResponse> HttpClient::send(const HttpRequest& request, const HttpSink& sink) {
  CURL* curl = impl_->curl;
  const std::string home = origin_of(request.url);
  if (home.empty()) {
    return make_error(ErrorCode::kInvalidArgument, "'" + request.url + "' is not a URL", request.url);
  }
  std::string url = request.url;
  for (int hop = 0; hop <= kMostRedirects; ++hop) {
    Exchange exchange;
    exchange.curl = curl;
    exchange.sink = &sink;
    set_up(curl, request, url, exchange);
    curl_slist* list = curl_slist_append(nullptr, "Accept-Encoding: identity");
    if (!request.token.empty() && origin_of(url) == home)
      list = curl_slist_append(list, ("Authorization: Bearer " + request.token).c_str());
    if (request.from != 0)
      list = curl_slist_append(list, ("Range: bytes=" + std::to_string(request.from) + "-").c_str());
    const std::unique_ptr<curl_slist, ListDeleter> headers(list);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, list);
    const CURLcode failed = curl_easy_perform(curl);
    if (exchange.refused) return make_error(ErrorCode::kCancelled, "the transfer was ended", url);
    if (failed == CURLE_URL_MALFORMAT || failed == CURLE_UNSUPPORTED_PROTOCOL) {
      return make_error(ErrorCode::kInvalidArgument, "'" + url + "' is not an address to get from", url);
    }
    if (failed != CURLE_OK) {
      return make_error(ErrorCode::kUnavailable, url + ": " + curl_easy_strerror(failed), url);
    }
    long status = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    exchange.response.status = static_cast<int>(status);
    char* next = nullptr;
    curl_easy_getinfo(curl, CURLINFO_REDIRECT_URL, &next);
    const bool redirect = status / 100 == 3 && next != nullptr;
    if (!redirect || (request.stay_on_host && origin_of(next) != home)) return std::move(exchange.response);
    const std::string target(next);
    if (url.starts_with("https:") && !target.starts_with("https:")) {
      std::string message = url;
      message.append(" redirects to ").append(target).append(", which is not encrypted");
      return make_error(ErrorCode::kForbidden, std::move(message), url);
    }
    url = target;
  }
  return make_error(ErrorCode::kUnavailable,
                    request.url + " redirects more than " + std::to_string(kMostRedirects) + " times",
                    request.url);
}

Result<std::pair<HttpResponse, std::string>> HttpClient::get_text(HttpRequest request, std::size_t most) {
  std::string body;
  HttpSink sink;
  sink.data = [&](std::span<const std::byte> piece) {
    if (body.size() + piece.size() > most) return false;
    body.append(reinterpret_cast<const char*>(piece.data()), piece.size());
    return true;
  };
  auto response = send(request, sink);
  if (!response.ok() && response.error().code == ErrorCode::kCancelled) {
    return make_error(ErrorCode::kTooLarge, request.url + " answers with too much", request.url);
  }
  if (!response.ok()) return response.error();
  return std::pair(std::move(*response), std::move(body));
}

}  // namespace kvasir::hub
