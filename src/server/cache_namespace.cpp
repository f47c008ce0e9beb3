#include "server/cache_namespace.h"

#include "base/content_hash.h"

namespace kvasir::server {

std::string cache_namespace(std::string_view key, std::string_view salt) {
  std::string name;
  if (!key.empty()) name = "key:" + content_hash(key);
  if (!salt.empty()) name += (name.empty() ? "salt:" : "/salt:") + content_hash(salt);
  return name;
}

}  // namespace kvasir::server
