#include "cli/cache_options.h"

#include <spdlog/spdlog.h>
#include <xxhash.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include <fmt/format.h>

namespace kvasir::cli {
namespace {

namespace fs = std::filesystem;

// Unasked, the cache takes a quarter of what is free, and no more than a month of an agent's work needs.
constexpr std::uint64_t kDefaultShare = 4;
constexpr std::uint64_t kDefaultMost = std::uint64_t{64} << 30;

std::string folder_of(const CacheOptions& options) {
  return options.folder.empty() ? default_cache_folder() : options.folder;
}

std::uint64_t default_disk_bytes(const std::string& folder) {
  std::error_code ignored;
  std::uint64_t ours = 0;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    if (entry.is_regular_file(ignored)) ours += entry.file_size(ignored);
  }
  const auto free = system_files().free_bytes(folder);
  return std::min(kDefaultMost, ((free.ok() ? *free : 0) + ours) / kDefaultShare);
}

}  // namespace

std::string default_cache_folder() {
  const char* xdg = std::getenv("XDG_CACHE_HOME");
  if (xdg != nullptr && *xdg == '/') return std::string(xdg) + "/kvasir/kv";
  const char* home = std::getenv("HOME");
  return std::string(home != nullptr ? home : ".") + "/.cache/kvasir/kv";
}

void add_cache_folder_option(CLI::App& app, std::string& folder) {
  app.add_option("--cache-folder", folder,
                 "Where the cache on disk is (default: " + default_cache_folder() + ")")
      ->type_name("PATH");
}

void add_cache_options(CLI::App& app, CacheOptions& options) {
  const char* group = "Cache on disk";
  app.add_option_function<std::uint64_t>(
         "--cache-disk", [&options](const std::uint64_t& bytes) { options.disk_bytes = bytes; },
         "Most space it may take; 0 keeps nothing on disk (default: a quarter of what is free, at most 64GB)")
      ->transform(CLI::AsSizeValue(false))
      ->type_name("SIZE, like 20GB")
      ->group(group);
  add_cache_folder_option(app, options.folder);
  app.get_option("--cache-folder")->group(group);
  app.add_option("--cache-conversations", options.most_conversations,
                 "Most conversations kept on disk; what they share stays (default: as many as fit)")
      ->group(group);
  app.add_option("--cache-min-tokens", options.min_tokens, "Shorter conversations are not kept on disk")
      ->capture_default_str()
      ->group(group);
  app.add_option(
         "--cache-loads", options.loads,
         "auto reads from disk when that beats computing, by what both have cost so far; always does not ask")
      ->capture_default_str()
      ->check(CLI::IsMember({"auto", "always"}))
      ->group(group);
}

std::unique_ptr<kv::DiskStore> open_disk_store(const CacheOptions& options,
                                               const executor::Description& model,
                                               const std::string& root_name, const std::string& label) {
  if (options.disk_bytes == 0) return nullptr;
  kv::DiskStoreOptions store;
  store.folder = folder_of(options);
  store.root_name = root_name;
  store.label = label;
  store.block_bytes = model.kv_bytes_per_block;
  if (const Status made = system_files().make_folder(store.folder); !made.ok()) {
    spdlog::warn("no cache on disk: {}", made.error().message);
    return nullptr;
  }
  store.capacity_bytes = options.disk_bytes.value_or(default_disk_bytes(store.folder));
  store.most_leaves = options.most_conversations;
  auto opened = kv::DiskStore::open(system_files(), store);
  if (!opened.ok()) {
    spdlog::warn("no cache on disk: {}", opened.error().message);
    return nullptr;
  }
  if (!(*opened)->warning().empty()) spdlog::warn("cache on disk: {}", (*opened)->warning());
  const kv::DiskStats stats = (*opened)->stats();
  spdlog::info("cache on disk: {}, {:.2f} of {:.1f} GB, {} tokens of this model in {} conversations",
               store.folder, static_cast<double>(stats.bytes) / 1e9,
               static_cast<double>(stats.capacity_bytes) / 1e9, stats.tokens, stats.leaves);
  return std::move(*opened);
}

std::shared_ptr<chat::ReplayTable> open_replay_table(const CacheOptions& options,
                                                     const std::string& root_name) {
  if (options.disk_bytes == 0) return std::make_shared<chat::ReplayTable>();
  const std::string folder = folder_of(options);
  // A file a model: compaction keeps the records of its own.
  const std::string path =
      fmt::format("{}/replay-{:016x}.log", folder, XXH3_64bits(root_name.data(), root_name.size()));
  if (system_files().make_folder(folder).ok()) {
    auto opened = chat::ReplayTable::open(system_files(), path, root_name);
    if (opened.ok()) return std::move(*opened);
    spdlog::warn("generated turns are not kept over a restart: {}", opened.error().message);
  }
  return std::make_shared<chat::ReplayTable>();
}

Status remove_replay_logs(const std::string& folder) {
  FileSystem& files = system_files();
  KVASIR_ASSIGN_OR_RETURN(const auto names, files.list(folder));
  for (const std::string& name : names) {
    if (!name.starts_with("replay-") || !name.ends_with(".log")) continue;
    const std::string path = path_in(folder, name);
    KVASIR_ASSIGN_OR_RETURN(const auto lock, files.try_lock(path + ".lock"));
    if (lock == nullptr) {
      return make_error(ErrorCode::kUnavailable, "another process writes " + path, path);
    }
    KVASIR_RETURN_IF_ERROR(files.remove(path));
  }
  return {};
}

}  // namespace kvasir::cli
