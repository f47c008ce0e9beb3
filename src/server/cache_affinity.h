#pragma once
// Which conversations a request's own belongs to, from what clients say of it. It decides what is kept in
// memory under pressure (engine/families.h), and never what is shared.
//
// Each agent of a session is a family of its own, so that a sub-agent that has ended is let go like anything
// else; the agents that wait for a request's own are its ancestors, and are kept while it works.

#include <string>
#include <string_view>
#include <vector>

#include "server/http_server.h"

namespace kvasir::server {

struct CacheAffinity {
  std::string family;                  // empty: none is known
  std::vector<std::string> ancestors;  // outermost first
};

// `key`: the request's prompt_cache_key, which goes before all else; `user_id`: its metadata.user_id, which
// holds Claude Code's session where a proxy has dropped its headers.
CacheAffinity cache_affinity(const HttpRequest& request, std::string_view key, std::string_view user_id);

}  // namespace kvasir::server
