#pragma once
// The cache on disk, as a command line asks for it: KV (kv/disk_store.h) and replayed turns
// (chat/replay_table.h), both in one folder.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/error.h"
#include "chat/replay_table.h"
#include "executor/executor.h"
#include "kv/disk_store.h"

namespace CLI {
class App;
}

namespace kvasir::cli {

struct CacheOptions {
  std::string folder;                       // empty: default_cache_folder()
  std::optional<std::uint64_t> disk_bytes;  // 0: nothing on disk; nullopt: from free space
  std::uint32_t most_conversations = 0;     // 0: as many as fit
  std::uint32_t min_tokens = 0;             // shorter conversations are not kept on disk
  std::string loads = "auto";               // or "always"
};

// $XDG_CACHE_HOME/kvasir/kv, else ~/.cache/kvasir/kv.
std::string default_cache_folder();

void add_cache_options(CLI::App& app, CacheOptions& options);
void add_cache_folder_option(CLI::App& app, std::string& folder);

// Opens the model's KV on disk; null where the options want none. What stands in the way is logged once and
// is no error: the server then goes on without.
std::unique_ptr<kv::DiskStore> open_disk_store(const CacheOptions& options,
                                               const executor::Description& model,
                                               const std::string& root_name, const std::string& label);
// Removes the replayed turns of all models. kUnavailable while a process writes them.
Status remove_replay_logs(const std::string& folder);
// The model's replayed turns, with a file where there is a cache on disk. Never null.
std::shared_ptr<chat::ReplayTable> open_replay_table(const CacheOptions& options,
                                                     const std::string& root_name);

}  // namespace kvasir::cli
