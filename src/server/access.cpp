#include "server/access.h"

#include "server/cache_affinity.h"
#include "server/cache_namespace.h"

namespace kvasir::server {
namespace {

// Takes as long whatever the difference is.
bool same_secret(std::string_view given, std::string_view secret) {
  unsigned difference = given.size() == secret.size() ? 0 : 1;
  for (std::size_t i = 0; i < secret.size(); ++i) {
    const char c = given.empty() ? '\0' : given[i % given.size()];
    difference |=
        static_cast<unsigned>(static_cast<unsigned char>(c) ^ static_cast<unsigned char>(secret[i]));
  }
  return difference == 0;
}

// The scheme's letters may be of either case (RFC 9110).
std::string_view bearer_token(std::string_view authorization) {
  constexpr std::string_view kScheme = "bearer ";
  if (authorization.size() < kScheme.size()) return {};
  for (std::size_t i = 0; i < kScheme.size(); ++i) {
    const char c = authorization[i];
    if ((c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c) != kScheme[i]) return {};
  }
  return authorization.substr(kScheme.size());
}

}  // namespace

Status Access::check(const HttpRequest& request) const {
  const bool open = request.path == "/health" || request.path == "/";
  if (keys_.empty() || open || key_of(request) != nullptr) return {};
  const bool none =
      request.header("x-api-key").empty() && bearer_token(request.header("authorization")).empty();
  return make_error(ErrorCode::kUnauthenticated,
                    none ? "no API key was given; send 'Authorization: Bearer KEY' or 'x-api-key: KEY'"
                         : "the API key is not one that this server was started with");
}

// The server's key that a request shows; null where it shows none. One right key is enough: some clients
// send both headers. Every key is compared, so that the time tells nothing.
const std::string* Access::key_of(const HttpRequest& request) const {
  const std::string_view key = request.header("x-api-key");
  const std::string_view bearer = bearer_token(request.header("authorization"));
  const std::string* found = nullptr;
  for (const std::string& ours : keys_) {
    const bool by_key = same_secret(key, ours);
    if (same_secret(bearer, ours) || by_key) found = &ours;
  }
  return found;
}

std::string Access::namespace_for(const HttpRequest& request, std::string_view salt) const {
  const std::string* key = share_ ? nullptr : key_of(request);
  return cache_namespace(key != nullptr ? *key : std::string(), salt);
}

void Access::place_in_cache(const HttpRequest& request, api::GenerationOptions& options) const {
  options.cache_namespace = namespace_for(request, options.cache_salt);
  const std::string* key = key_of(request);
  options.client = key != nullptr ? *key : options.cache_namespace;
  CacheAffinity affinity = cache_affinity(request, options.cache_family, options.user_id);
  options.cache_family = std::move(affinity.family);
  options.cache_ancestors = std::move(affinity.ancestors);
}

}  // namespace kvasir::server
