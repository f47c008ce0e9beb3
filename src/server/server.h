#pragma once
// The server: routes, keys and metrics over HttpServer, for the model in a ModelSlot.

#include <memory>
#include <string>
#include <vector>

#include "api/response_builder.h"
#include "base/error.h"
#include "server/http_server.h"
#include "server/model_slot.h"
#include "server/request_log.h"

namespace kvasir::server {

struct ServerOptions {
  HttpOptions http;                   // guard and shape_error are the server's own
  std::vector<std::string> api_keys;  // one is asked for; empty: none
  float temperature = 0.7F;           // for requests that name none: docs/decisions/0008-sampling-defaults.md
  float top_p = 0.95F;
  bool idle_prefill = true;  // read what the next request will begin with while there is nothing to do
  api::ThoughtField thoughts = api::ThoughtField::kReasoningContent;  // for requests that say nothing else
  LogFormat request_log = LogFormat::kText;
  std::vector<std::string> cors_origins;  // as Cors::create takes them
  std::vector<std::string> stop;          // stop strings that every request has beside its own
  std::vector<std::string> pdf_worker;    // as text::read_pdf takes it; empty: PDFs are refused
  bool share_cache = false;               // false: every key has a cache namespace of its own
};

class Server {
 public:
  // Listens at once, also while the model loads. `slot` must outlive the server. Errors as HttpServer::start
  // and Cors::create.
  static Result<std::unique_ptr<Server>> start(ServerOptions options, ModelSlot& slot);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  std::uint16_t port() const;
  // Lets answers in flight finish for at most `seconds`, ends the model's engine, closes. Returns true when
  // all had finished.
  bool stop(double seconds);

 private:
  class Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace kvasir::server
