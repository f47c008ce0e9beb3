#pragma once
// The cache over HTTP, for people: bodies of /admin/cache and below it. docs/guides/cache.md has the routes.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "engine/engine.h"
#include "kv/disk_admin.h"

namespace kvasir::api {

// ---- Requests; kInvalidArgument names the field ----
Result<std::uint64_t> parse_cache_prune(std::string_view body);  // keep_bytes
// The plain name of a file: letters, digits, '.', '-' and '_', not beginning with '.'.
Result<std::string> parse_cache_file(std::string_view body);
// ?limit=N of a list: how many to show at most.
Result<std::size_t> parse_cache_limit(std::string_view query);

// ---- Answers ----
struct CacheReport {
  std::string model;
  engine::EngineStats engine;
  std::span<const engine::CachedConversation> memory;  // the caller's, used last first
  std::optional<kv::DiskStats> disk;                   // nullopt without a cache on disk
  kv::DiskUse disk_use;                                // the caller's
};
std::string cache_stats_body(const CacheReport& report);
std::string cache_conversations_body(std::span<const engine::CachedConversation> memory,
                                     std::span<const kv::DiskConversation> disk, std::size_t limit);
std::string cache_verify_body(const kv::DiskFolderReport& report);
std::string cache_prune_body(std::uint64_t given_back_bytes);
struct CacheCleared {
  std::uint64_t memory_blocks = 0;
  std::uint64_t disk_bytes = 0;
  std::uint64_t replayed_turns = 0;
};
std::string cache_clear_body(const CacheCleared& cleared);
std::string cache_export_body(const std::string& path, std::uint64_t records);
std::string cache_import_body(const kv::Imported& imported);

}  // namespace kvasir::api
