#pragma once
// The request log: one line a request, when it has ended, with what it cost. It never holds anything of a
// prompt or an answer.
//
// Threads: a record is filled and ended from any thread.

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "server/http_server.h"

namespace kvasir::server {

enum class LogFormat { kNone, kText, kJson };

struct RequestLine {
  std::string id;
  std::string method;
  std::string path;
  int status = 0;             // 499: the client left before the end, as proxies write it
  std::string model;          // as the request names it; empty where nothing was generated
  std::string client;         // product of the User-Agent: "claude-cli/2.1.328"
  std::string agent;          // of a client with several, its id
  std::string outcome;        // "failed" in mid-answer; empty: as the status says
  std::uint32_t choices = 0;  // answers that were generated; the fields below hold only where there is one
  std::uint32_t prompt_tokens = 0;
  std::uint32_t cached_tokens = 0;    // of the prompt, not read again
  std::uint32_t replayed_tokens = 0;  // of the prompt, taken over as they were generated
  std::uint32_t output_tokens = 0;
  double queue_seconds = 0;
  double prefill_seconds = 0;
  double first_token_seconds = 0;  // since the request was there
  double tokens_per_second = 0;    // of the output, behind its first token
  double total_seconds = 0;
};

std::string text_line(const RequestLine& line);
std::string json_line(const RequestLine& line, std::chrono::system_clock::time_point ended);

// A request's line while it is being answered; written by finish(), once.
class RequestRecord {
 public:
  RequestRecord(const HttpRequest& request, std::string id, LogFormat format);

  std::string id() const;
  void rename(std::string id);
  void status(int status);
  void first_token(double seconds);
  // An answer of the request has ended: its share is added.
  void add(const RequestLine& answer);
  void failed();
  void answered();  // all of it is there: a client that hangs up from now on has had it
  void left();      // the client
  void finish();

 private:
  const std::chrono::steady_clock::time_point received_ = std::chrono::steady_clock::now();
  const LogFormat format_;
  mutable std::mutex mutex_;
  RequestLine line_;
  bool answered_ = false;
  bool finished_ = false;
};

// `exchange`, with its answer noted in a record and an x-request-id header of its own.
std::shared_ptr<Exchange> logged(const HttpRequest& request, std::string id, LogFormat format,
                                 std::shared_ptr<Exchange> exchange);
// The record behind an exchange that logged() gave; null for another.
std::shared_ptr<RequestRecord> record_of(const Exchange& exchange);

}  // namespace kvasir::server
