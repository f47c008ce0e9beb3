#pragma once
// Which words of `kvasir claude ...` are the server's and which the client's.

#include <span>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace kvasir::cli {

struct LaunchArguments {
  std::vector<std::string> server;  // options of `kvasir serve`
  std::vector<std::string> client;
};

// The server's options come first; the client's words begin at the first word that is no option of `serve`
// (an app with its options, not parsed), or behind a `--` that ends such a run and is dropped. Everything
// from there on is the client's, unchanged.
//
// Short options but -m belong to the client (-p is Claude Code's), unless they have a number and a `--`
// follows the server's options: `kvasir claude -m MODEL -p 9000 -- -p "a question"`.
LaunchArguments split_arguments(const CLI::App& serve, std::span<const std::string> words);

}  // namespace kvasir::cli
