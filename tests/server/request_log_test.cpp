#include "server/request_log.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace kvasir::server {
namespace {

RequestLine answered() {
  RequestLine line;
  line.id = "req_1";
  line.method = "POST";
  line.path = "/v1/messages";
  line.status = 200;
  line.model = "qwen";
  line.client = "claude-cli/2.1.328";
  line.choices = 1;
  line.prompt_tokens = 1000;
  line.cached_tokens = 900;
  line.output_tokens = 20;
  line.first_token_seconds = 0.25;
  line.tokens_per_second = 40;
  line.total_seconds = 0.75;
  return line;
}

TEST(RequestLog, ALineHasTokensAndTimings) {
  EXPECT_EQ(text_line(answered()),
            "req_1 POST /v1/messages 200 model=qwen prompt=1000 cached=900 new=100 out=20 queue=0.00s "
            "prefill=0.00s first=0.25s rate=40.0/s total=0.75s client=claude-cli/2.1.328");
}

TEST(RequestLog, WhereNothingWasGeneratedThereAreNoTokens) {
  RequestLine line = answered();
  line.choices = 0;
  line.status = 404;
  EXPECT_EQ(text_line(line), "req_1 POST /v1/messages 404 total=0.75s client=claude-cli/2.1.328");
}

TEST(RequestLog, JsonHasTheSameAndTheTime) {
  const auto time = std::chrono::system_clock::from_time_t(1'700'000'000) + std::chrono::milliseconds(7);
  const boost::json::value line = boost::json::parse(json_line(answered(), time));
  EXPECT_EQ(line.at("time").as_string(), "2023-11-14T22:13:20.007Z");
  EXPECT_EQ(line.at("new_tokens").as_int64(), 100);
  EXPECT_EQ(line.at("output_tokens").as_int64(), 20);
  EXPECT_DOUBLE_EQ(line.at("first_token_seconds").as_double(), 0.25);
}

class SilentExchange : public Exchange {
 public:
  void respond(HttpResponse response) override { headers = response.headers; }
  void begin_stream(int, Headers given) override { headers = std::move(given); }
  void write(std::string) override {}
  void end() override {}
  void on_disconnect(std::function<void()>) override {}
  Headers headers;
};

TEST(RequestLog, AnAnswerCarriesTheIdOfItsLine) {
  const auto inner = std::make_shared<SilentExchange>();
  const HttpRequest request{"GET", "/", "", "", {}};
  logged(request, "req_7", LogFormat::kNone, inner)->respond({200, {}, ""});
  EXPECT_EQ(inner->headers, (Headers{{"x-request-id", "req_7"}}));
}

TEST(RequestLog, AnIdThatTheAnswerHasAlreadyIsTheLines) {
  const auto inner = std::make_shared<SilentExchange>();
  const HttpRequest request{"GET", "/", "", "", {}};
  const auto exchange = logged(request, "req_7", LogFormat::kNone, inner);
  exchange->respond({200, {{"request-id", "req_8"}}, ""});
  EXPECT_EQ(inner->headers, (Headers{{"request-id", "req_8"}, {"x-request-id", "req_8"}}));
  EXPECT_EQ(record_of(*exchange)->id(), "req_8");
}

TEST(RequestLog, WhatAClientNamesItselfCannotBreakTheLine) {
  const HttpRequest request{"GET", "/a\nb", "", "", {{"User-Agent", "evil\x1b[2J\nx y"}}};
  testing::internal::CaptureStderr();
  RequestRecord record(request, "req_2", LogFormat::kJson);
  record.status(404);
  record.finish();
  record.finish();
  const std::string written = testing::internal::GetCapturedStderr();
  const boost::json::value line = boost::json::parse(written);  // one line, once
  EXPECT_EQ(line.at("path").as_string(), "/a?b");
  EXPECT_EQ(line.at("client").as_string(), "evil?[2J?x");
}

TEST(RequestLog, AClientThatHangsUpOnAWholeAnswerHasNotLeft) {
  for (const bool whole : {false, true}) {
    testing::internal::CaptureStderr();
    RequestRecord record({"POST", "/v1/responses", "", "", {}}, "req_4", LogFormat::kJson);
    record.status(200);
    if (whole) record.answered();
    record.left();
    record.finish();
    const auto line = boost::json::parse(testing::internal::GetCapturedStderr());
    EXPECT_EQ(line.at("status"), whole ? 200 : 499);
  }
}

TEST(RequestLog, MonitorsPollingLeaveNoLines) {
  testing::internal::CaptureStderr();
  for (const char* path : {"/health", "/metrics"}) {
    RequestRecord record({"GET", path, "", "", {}}, "req_3", LogFormat::kJson);
    record.status(200);
    record.finish();
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace kvasir::server
