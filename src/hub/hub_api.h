#pragma once
// What the hub says about a repository and its files. Waits and tries again where a server is busy or the
// line breaks.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/error.h"
#include "hub/http_client.h"
#include "hub/model_name.h"
#include "hub/settings.h"

namespace kvasir::hub {

struct Revision {
  std::string commit;
  std::vector<std::string> files;  // paths
};

struct RemoteFile {
  std::string path;
  std::string url;   // of its contents at the commit
  std::string etag;  // names them, and the blob
  std::uint64_t size = 0;
};

// What there is to say while something is waited for: "the server is busy; again in 4 s".
using Notice = std::function<void(const std::string&)>;

// How often and how long a failing call is repeated. Tests make it short.
struct Patience {
  int tries = 6;                       // without a byte of progress
  double first_seconds = 1;            // doubled each time
  double most_seconds = 60;            // also of a server's Retry-After
  static Patience from_environment();  // KVASIR_RETRY_SECONDS: first_seconds, and most_seconds 10 times it
};

class HubApi {
 public:
  HubApi(Settings settings, Patience patience, Notice notice)
      : settings_(std::move(settings)), patience_(patience), notice_(std::move(notice)) {}

  const Settings& settings() const { return settings_; }
  HttpClient& http() { return http_; }
  const Patience& patience() const { return patience_; }
  const Notice& notice() const { return notice_; }

  // kUnavailable where the hub may not or cannot be asked; kNotFound; kForbidden and kUnauthenticated, with
  // what to do about it.
  Result<Revision> revision(const ModelName& name);
  Result<RemoteFile> file(const ModelName& name, const std::string& commit, const std::string& path);

 private:
  Settings settings_;
  Patience patience_;
  Notice notice_;
  HttpClient http_;
};

// Whether another try may help: 408, 429 and 5xx.
bool is_passing(int status);
// The error that a status of the hub's means for a person. `what` was asked for.
Error hub_error(const HttpResponse& response, const std::string& what, const Settings& settings);
// Sleeps before try number `attempt` (1, 2, ...): as long as the server asks, else twice as long each time.
void wait_before_retry(int attempt, const std::optional<std::string>& retry_after, const std::string& why,
                       const Patience& patience, const Notice& notice);

}  // namespace kvasir::hub
