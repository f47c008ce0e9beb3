#pragma once
// Who may ask, and whose KV a request may see: API keys, and the cache namespaces that follow from them.
//
// Threads: immutable, any thread.

#include <string>
#include <string_view>
#include <vector>

#include "api/generation.h"
#include "base/error.h"
#include "server/http_server.h"

namespace kvasir::server {

class Access {
 public:
  // One of `keys` is asked for; empty: none. `share_cache`: keys share one namespace.
  Access(std::vector<std::string> keys, bool share_cache) : keys_(std::move(keys)), share_(share_cache) {}

  // kUnauthenticated where a request needs a key and shows none of ours.
  Status check(const HttpRequest& request) const;
  std::string namespace_for(const HttpRequest& request, std::string_view salt) const;
  // Fills in what the cache and the scheduler know a client by.
  void place_in_cache(const HttpRequest& request, api::GenerationOptions& options) const;

 private:
  const std::string* key_of(const HttpRequest& request) const;

  const std::vector<std::string> keys_;
  const bool share_;
};

}  // namespace kvasir::server
