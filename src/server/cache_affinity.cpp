#include "server/cache_affinity.h"

#include <boost/json.hpp>

namespace kvasir::server {
namespace {

namespace json = boost::json;

constexpr std::size_t kNameBytesMost = 256;

std::string bounded(std::string_view name) {
  return std::string(name.substr(0, kNameBytesMost));
}

// Claude Code's: a JSON object with a session_id, or, of older versions, "user_..._account_..._session_ID".
std::string session_of_user(std::string_view user_id) {
  boost::system::error_code error;
  const json::value value = json::parse(user_id, error);
  if (!error && value.is_object()) {
    const json::value* session = value.get_object().if_contains("session_id");
    return session != nullptr && session->is_string() ? bounded(session->get_string()) : std::string();
  }
  constexpr std::string_view kMark = "_session_";
  const std::size_t at = user_id.rfind(kMark);
  return at == std::string_view::npos ? std::string() : bounded(user_id.substr(at + kMark.size()));
}

}  // namespace

CacheAffinity cache_affinity(const HttpRequest& request, std::string_view key, std::string_view user_id) {
  if (!key.empty()) return {bounded(key), {}};
  std::string session = bounded(request.header("x-claude-code-session-id"));
  if (session.empty()) session = session_of_user(user_id);
  const std::string agent = bounded(request.header("x-claude-code-agent-id"));
  if (session.empty() || agent.empty()) return {session, {}};
  CacheAffinity affinity{session + '/' + agent, {session}};
  const std::string parent = bounded(request.header("x-claude-code-parent-agent-id"));
  if (!parent.empty() && parent != agent) affinity.ancestors.push_back(session + '/' + parent);
  return affinity;
}

}  // namespace kvasir::server
