#pragma once
// How each coding agent is told to use a Kvasir server: variables and arguments. Pure functions; every name
// here was read from, and tried with, the client's own program (versions in tests/e2e/test_launchers.py).

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/process.h"

namespace kvasir::cli {

// A server as a client reaches it.
struct ServerAddress {
  std::string url;                   // "http://127.0.0.1:8081", without /v1
  std::string api_key;               // empty: none is asked for
  std::string model;                 // the id to ask for
  std::uint32_t context_tokens = 0;  // 0: not known
};

// What a client gets, on top of the environment and arguments that the user gives.
struct ClientSettings {
  std::vector<EnvironmentChange> variables;
  std::vector<std::string> arguments;  // before the user's own
};

struct Client {
  std::string name;     // the command: kvasir NAME
  std::string program;  // looked for on PATH
  std::string title;
  std::string install;  // how to get it
  ClientSettings (*settings)(const ServerAddress&);
};

std::span<const Client> known_clients();
// Null where there is none of that name.
const Client* find_client(const std::string& name);

// Most tokens that a client is told to ask for at once: an eighth of the context. Claude Code compacts when
// what is left is less than this and 13,000 tokens, and its own prompt takes 12,000.
std::uint32_t answer_tokens(std::uint32_t context_tokens);

enum class ShellFormat { kPosix, kFish, kJson };
// The settings as lines for a shell to evaluate, or one JSON object. Arguments become an alias (JSON: an
// array), since no variable could carry them.
std::string shell_lines(const Client& client, const ClientSettings& settings, ShellFormat format);

}  // namespace kvasir::cli
