#pragma once
// Which web pages may use the server, and how they are told (the Fetch standard's CORS protocol).
//
// A browser sends every page's requests from the user's own machine, so an address that only this machine
// reaches protects from no page. What is allowed here is therefore what a browser says of the page, its
// Origin:
//
//   none at all                      no browser, or its user's own address bar
//   the server's own                 its own pages
//   loopback: http(s)://localhost, 127.0.0.1, [::1], any port     pages that run on this machine
//   app:, file:, tauri:, vscode-webview:, vscode-file:            desktop programs; no website has these
//   what --cors-origin names
//
// Another page's POST and DELETE are refused before they are read, so that it cannot have things done whose
// answers it may not see; its GETs are answered without the headers that would let it read them.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "server/http_server.h"

namespace kvasir::server {

class Cors {
 public:
  // `origins`: "*" for every page; "none" alone for none but the server's own; else origins like
  // "https://chat.example.org", in which one "*" stands for anything without a slash. They come on top of
  // loopback's. `host`: the address listened on. kInvalidArgument names the origin that is none.
  static Result<Cors> create(std::vector<std::string> origins, std::string_view host);

  bool allows(const HttpRequest& request) const;
  // The question that a browser asks before it sends a request; it carries no key.
  static bool is_preflight(const HttpRequest& request);
  HttpResponse answer_preflight(const HttpRequest& request) const;
  // What every answer to `request` says beside its own headers.
  Headers headers_for(const HttpRequest& request) const;
  // One line for a person whose page is refused.
  static std::string refusal(const HttpRequest& request);

 private:
  bool is_own(std::string_view origin, const HttpRequest& request) const;

  std::vector<std::string> origins_;
  bool any_ = false;
  bool own_only_ = false;
  bool reached_from_outside_ = false;  // listens on more than loopback
};

}  // namespace kvasir::server
