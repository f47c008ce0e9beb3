#pragma once
// The text that makes a server a service of the user's session: a systemd unit, a launchd agent. Pure
// functions.

#include <string>
#include <utility>
#include <vector>

namespace kvasir::cli {

struct ServiceDescription {
  std::vector<std::string> command;  // absolute path of kvasir, "serve", its options
  std::string folder;                // that relative paths among the options start from
  std::vector<std::pair<std::string, std::string>> environment;
  std::string log;  // launchd: file for both outputs; systemd keeps a journal
};

inline constexpr const char* kSystemdUnit = "kvasir.service";
inline constexpr const char* kLaunchdLabel = "kvasir.serve";

// systemd.service(5), for `systemctl --user`.
std::string systemd_unit(const ServiceDescription& service);
// launchd.plist(5), for ~/Library/LaunchAgents.
std::string launchd_plist(const ServiceDescription& service);

}  // namespace kvasir::cli
