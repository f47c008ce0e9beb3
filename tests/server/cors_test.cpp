// The protocol is the Fetch standard's (fetch.spec.whatwg.org, "CORS protocol"); end to end, a browser's own
// questions are asked in tests/e2e/test_cors.py.

#include "server/cors.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace kvasir::server {
namespace {

Cors policy(std::vector<std::string> origins = {}, std::string_view host = "127.0.0.1") {
  auto cors = Cors::create(std::move(origins), host);
  EXPECT_TRUE(cors.ok());
  return *cors;
}

HttpRequest from(const std::string& origin, const std::string& host = "127.0.0.1:8081") {
  HttpRequest request;
  request.method = "POST";
  request.path = "/v1/chat/completions";
  request.headers.emplace_back("Host", host);
  if (!origin.empty()) request.headers.emplace_back("Origin", origin);
  return request;
}

std::string value_of(const Headers& headers, const std::string& name) {
  const auto found = std::ranges::find(headers, name, &Headers::value_type::first);
  return found == headers.end() ? "" : found->second;
}

TEST(Cors, ByDefaultThisMachinesPagesAndDesktopProgramsMay) {
  const Cors cors = policy();
  for (const char* origin : {"", "http://localhost:3000", "https://localhost", "http://127.0.0.1:5173",
                             "http://127.8.0.1", "http://[::1]:80", "http://app.localhost:1",
                             "app://obsidian.md", "tauri://localhost", "vscode-webview://0abc", "file://"}) {
    EXPECT_TRUE(cors.allows(from(origin))) << origin;
  }
  for (const char* origin :
       {"https://example.org", "null", "http://localhost.example.org", "http://127.0.0.1.example.org",
        "http://127.evil", "http://notlocalhost", "javascript:x", "chrome-extension://abc", "x"}) {
    EXPECT_FALSE(cors.allows(from(origin))) << origin;
    EXPECT_EQ(value_of(cors.headers_for(from(origin)), "Access-Control-Allow-Origin"), "") << origin;
  }
}

TEST(Cors, NamedOriginsComeOnTop) {
  const Cors cors = policy({"https://chat.example.org", "https://*.lab.example", "null"});
  EXPECT_TRUE(cors.allows(from("https://chat.example.org")));
  EXPECT_TRUE(cors.allows(from("https://a.b.lab.example")));
  EXPECT_TRUE(cors.allows(from("null")));
  EXPECT_TRUE(cors.allows(from("http://localhost:3000")));
  for (const char* origin : {"http://chat.example.org", "https://chat.example.org:8443",
                             "https://x/.lab.example", "https://lab.example.org", "https://.lab.exampl"}) {
    EXPECT_FALSE(cors.allows(from(origin))) << origin;
  }
}

TEST(Cors, EveryPageOrNone) {
  const Cors open = policy({"*"});
  EXPECT_EQ(value_of(open.headers_for(from("https://example.org")), "Access-Control-Allow-Origin"), "*");
  const Cors closed = policy({"none"});
  EXPECT_FALSE(closed.allows(from("http://localhost:3000")));
  EXPECT_TRUE(closed.allows(from("")));
  EXPECT_TRUE(closed.allows(from("http://127.0.0.1:8081"))) << "the server's own pages";
}

TEST(Cors, APageWhoseNameWasMadeToPointHereIsNotTheServersOwn) {
  const HttpRequest rebound = from("http://evil.example:8081", "evil.example:8081");
  EXPECT_FALSE(policy().allows(rebound));
  EXPECT_TRUE(policy({}, "0.0.0.0").allows(from("http://box.lan:8081", "box.lan:8081")))
      << "a server for the network is reached by its name";
  EXPECT_FALSE(policy({}, "0.0.0.0").allows(from("http://evil.example", "box.lan:8081")));
}

TEST(Cors, APreflightIsAnsweredWithWhatItAsksFor) {
  const Cors cors = policy();
  HttpRequest request = from("http://localhost:3000");
  request.method = "OPTIONS";
  EXPECT_FALSE(Cors::is_preflight(request));
  request.headers.emplace_back("Access-Control-Request-Method", "POST");
  request.headers.emplace_back("Access-Control-Request-Headers", "authorization,x-api-key,x-stainless-os");
  request.headers.emplace_back("Access-Control-Request-Private-Network", "true");
  ASSERT_TRUE(Cors::is_preflight(request));
  const HttpResponse answer = cors.answer_preflight(request);
  EXPECT_EQ(answer.status, 204);
  EXPECT_EQ(value_of(answer.headers, "Access-Control-Allow-Headers"),
            "authorization,x-api-key,x-stainless-os");
  EXPECT_EQ(value_of(answer.headers, "Access-Control-Allow-Private-Network"), "true");
  EXPECT_NE(value_of(answer.headers, "Access-Control-Allow-Methods").find("POST"), std::string::npos);
  request.headers[1].second = "https://example.org";
  EXPECT_EQ(cors.answer_preflight(request).status, 403);
}

TEST(Cors, AnswersDifferByOriginAndSaySo) {
  const Cors cors = policy();
  const Headers headers = cors.headers_for(from("http://localhost:3000"));
  EXPECT_EQ(value_of(headers, "Access-Control-Allow-Origin"), "http://localhost:3000");
  EXPECT_EQ(value_of(headers, "Vary"), "Origin");
  EXPECT_EQ(value_of(cors.headers_for(from("")), "Vary"), "Origin");
  EXPECT_NE(value_of(headers, "Access-Control-Expose-Headers").find("x-kvasir-cache"), std::string::npos);
}

TEST(Cors, WhatIsNoOriginIsRefusedByName) {
  for (const char* origin :
       {"example.org", "https://example.org/", "https://example.org/path", "https://*.a.*", ""}) {
    const auto cors = Cors::create({origin}, "127.0.0.1");
    ASSERT_FALSE(cors.ok()) << origin;
    EXPECT_NE(cors.error().message.find("--cors-origin"), std::string::npos);
  }
  EXPECT_FALSE(Cors::create({"none", "https://example.org"}, "127.0.0.1").ok());
}

}  // namespace
}  // namespace kvasir::server
