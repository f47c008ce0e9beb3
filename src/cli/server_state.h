#pragma once
// What a running `kvasir serve` leaves for the commands that look for it: one small JSON file a port, in
// $XDG_STATE_HOME/kvasir (else ~/.local/state/kvasir), readable by its user only, since it holds an API key.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/process.h"

namespace kvasir::cli {

struct ServerState {
  ProcessId process = 0;
  std::string host;
  std::uint16_t port = 0;
  std::string model;    // as clients see it
  std::string api_key;  // one that it takes; empty: none is asked for
};

std::string state_folder();
// Of the name of a record in that folder; nullopt for other files.
std::optional<std::uint16_t> port_of_record(std::string_view name);
// Where a server that was started in the background writes its log, beside its record.
std::string log_path(std::uint16_t port);

std::string to_json(const ServerState& state);
// nullopt for text that is no such record.
std::optional<ServerState> state_from_json(const std::string& text);

Status write_state(const ServerState& state);
// The record of a port; nullopt where there is none.
std::optional<ServerState> read_state(std::uint16_t port);
// Removes the record if it is `process`'s: a successor's stays.
void remove_state(std::uint16_t port, ProcessId process);

}  // namespace kvasir::cli
