#pragma once
// One GET to a server on this machine, for commands that ask a running Kvasir something.

#include <chrono>
#include <cstdint>
#include <string>

#include "base/error.h"
#include "server/http_server.h"

namespace kvasir::server {

struct HttpAddress {
  std::string host = "127.0.0.1";
  std::uint16_t port = 0;
};

// Blocks for at most `limit`. kUnavailable: nothing listens there, or it did not answer in time or not in
// HTTP.
Result<HttpResponse> http_get(const HttpAddress& address, const std::string& target, const Headers& headers,
                              std::chrono::milliseconds limit);

}  // namespace kvasir::server
