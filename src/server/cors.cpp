#include "server/cors.h"

#include <algorithm>
#include <array>

namespace kvasir::server {
namespace {

constexpr std::array<std::string_view, 5> kDesktopSchemes = {"app", "file", "tauri", "vscode-webview",
                                                             "vscode-file"};
// What pages read of an answer beside the usual.
constexpr const char* kExposed = "request-id, retry-after, x-kvasir-cache, x-kvasir-warning, x-request-id";
constexpr const char* kForAWhile = "7200";  // seconds; the most that Chromium keeps

struct Origin {
  std::string_view scheme;
  std::string_view host;  // without the port
};

std::optional<Origin> parse_origin(std::string_view text) {
  const std::size_t colon = text.find("://");
  if (colon == 0 || colon == std::string_view::npos) return std::nullopt;
  Origin origin{text.substr(0, colon), text.substr(colon + 3)};
  if (origin.host.find_first_of("/?# ") != std::string_view::npos) return std::nullopt;
  const std::size_t bracket = origin.host.find(']');
  const std::size_t port = origin.host.find(':', bracket == std::string_view::npos ? 0 : bracket);
  if (port != std::string_view::npos) origin.host = origin.host.substr(0, port);
  return origin;
}

bool is_web(const Origin& origin) {
  return origin.scheme == "http" || origin.scheme == "https";
}

// A name under which no other machine can be reached.
bool is_loopback(std::string_view host) {
  if (host == "localhost" || host.ends_with(".localhost") || host == "[::1]" || host == "::1") return true;
  return host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string_view::npos;
}

bool is_address(std::string_view host) {
  return host.starts_with('[') || host.find_first_not_of("0123456789.") == std::string_view::npos;
}

bool matches(std::string_view pattern, std::string_view origin) {
  const std::size_t star = pattern.find('*');
  if (star == std::string_view::npos) return pattern == origin;
  const std::string_view before = pattern.substr(0, star);
  const std::string_view behind = pattern.substr(star + 1);
  if (origin.size() < before.size() + behind.size()) return false;
  if (!origin.starts_with(before) || !origin.ends_with(behind)) return false;
  return origin.substr(star, origin.size() - before.size() - behind.size()).find('/') ==
         std::string_view::npos;
}

}  // namespace

Result<Cors> Cors::create(std::vector<std::string> origins, std::string_view host) {
  Cors cors;
  cors.reached_from_outside_ = !is_loopback(host);
  for (std::string& origin : origins) {
    if (origin == "*") {
      cors.any_ = true;
    } else if (origin == "none" && origins.size() == 1) {
      cors.own_only_ = true;
    } else if (origin == "null" || (parse_origin(origin) && std::ranges::count(origin, '*') <= 1)) {
      cors.origins_.push_back(std::move(origin));
    } else {
      return make_error(ErrorCode::kInvalidArgument,
                        "--cors-origin " + origin +
                            " is no origin: scheme://host or scheme://host:port, without a path, like "
                            "https://chat.example.org; or * for every page, or none, alone, for no page",
                        "--cors-origin");
    }
  }
  return cors;
}

// A page whose name was made to point here (DNS rebinding) has that name as its origin and as the server's:
// on a server for this machine alone, only addresses and localhost count as its own.
bool Cors::is_own(std::string_view origin, const HttpRequest& request) const {
  const auto parsed = parse_origin(origin);
  if (!parsed || !is_web(*parsed)) return false;
  const std::string_view host = request.header("host");
  if (host.empty() || origin.substr(parsed->scheme.size() + 3) != host) return false;
  return reached_from_outside_ || is_loopback(parsed->host) || is_address(parsed->host);
}

bool Cors::allows(const HttpRequest& request) const {
  const std::string_view origin = request.header("origin");
  if (origin.empty() || any_ || is_own(origin, request)) return true;
  if (own_only_) return false;
  if (std::ranges::any_of(origins_, [&](const std::string& known) { return matches(known, origin); }))
    return true;
  const auto parsed = parse_origin(origin);
  if (!parsed) return false;
  if (is_web(*parsed)) return is_loopback(parsed->host);
  return std::ranges::find(kDesktopSchemes, parsed->scheme) != kDesktopSchemes.end();
}

bool Cors::is_preflight(const HttpRequest& request) {
  return request.method == "OPTIONS" && !request.header("origin").empty() &&
         !request.header("access-control-request-method").empty();
}

HttpResponse Cors::answer_preflight(const HttpRequest& request) const {
  if (!allows(request))
    return {403, {{"Content-Type", "text/plain; charset=utf-8"}}, refusal(request) + "\n"};
  HttpResponse response{204, {}, {}};
  response.headers.emplace_back("Access-Control-Allow-Methods", "GET, HEAD, POST, DELETE");
  // Clients have headers of their own by the dozen (x-stainless-..., anthropic-...): all that is asked for.
  if (const std::string_view asked = request.header("access-control-request-headers"); !asked.empty())
    response.headers.emplace_back("Access-Control-Allow-Headers", asked);
  if (request.header("access-control-request-private-network") == "true")
    response.headers.emplace_back("Access-Control-Allow-Private-Network", "true");
  response.headers.emplace_back("Access-Control-Max-Age", kForAWhile);
  return response;
}

Headers Cors::headers_for(const HttpRequest& request) const {
  const std::string_view origin = request.header("origin");
  if (origin.empty()) return any_ ? Headers{} : Headers{{"Vary", "Origin"}};
  if (!allows(request)) return {{"Vary", "Origin"}};
  Headers headers{{"Access-Control-Allow-Origin", any_ ? std::string("*") : std::string(origin)},
                  {"Access-Control-Expose-Headers", kExposed}};
  if (!any_) headers.emplace_back("Vary", "Origin");
  return headers;
}

std::string Cors::refusal(const HttpRequest& request) {
  const std::string origin(request.header("origin"));
  return "pages of " + origin + " may not use this server; start it with --cors-origin " + origin +
         " to allow them";
}

}  // namespace kvasir::server
