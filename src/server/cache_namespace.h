#pragma once
// What KV and sampled turns are kept apart by. Hashed, since it is written to disk.

#include <string>
#include <string_view>

namespace kvasir::server {

// `key`: the API key of the request, empty where keys share or none is asked for; `salt`: the request's
// cache_salt.
std::string cache_namespace(std::string_view key, std::string_view salt);

// Whether requests of `base`, a cache_namespace() without a salt, could have written to `name_space`: it is
// the same, or one of its salts.
bool is_of_namespace(std::string_view name_space, std::string_view base);

}  // namespace kvasir::server
