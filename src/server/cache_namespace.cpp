#include "server/cache_namespace.h"

#include <fmt/format.h>
#include <xxhash.h>

namespace kvasir::server {
namespace {

std::string digest(std::string_view text) {
  const XXH128_hash_t hash = XXH3_128bits(text.data(), text.size());
  return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

}  // namespace

std::string cache_namespace(std::string_view key, std::string_view salt) {
  std::string name;
  if (!key.empty()) name = "key:" + digest(key);
  if (!salt.empty()) name += (name.empty() ? "salt:" : "/salt:") + digest(salt);
  return name;
}

}  // namespace kvasir::server
