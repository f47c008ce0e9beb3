#pragma once
// What KV and sampled turns are kept apart by. Hashed, since it is written to disk.

#include <string>
#include <string_view>

namespace kvasir::server {

// `key`: the API key of the request, empty where keys share or none is asked for; `salt`: the request's
// cache_salt.
std::string cache_namespace(std::string_view key, std::string_view salt);

}  // namespace kvasir::server
