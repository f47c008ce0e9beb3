#include "server/cache_namespace.h"

#include "base/content_hash.h"

namespace kvasir::server {

std::string cache_namespace(std::string_view key, std::string_view salt) {
  std::string name;
  if (!key.empty()) name = "key:" + content_hash(key);
  if (!salt.empty()) name += (name.empty() ? "salt:" : "/salt:") + content_hash(salt);
  return name;
}

bool is_of_namespace(std::string_view name_space, std::string_view base) {
  if (!name_space.starts_with(base)) return false;
  const std::string_view rest = name_space.substr(base.size());
  return rest.empty() || rest.starts_with(base.empty() ? "salt:" : "/salt:");
}

}  // namespace kvasir::server
