#include "api/cache_admin.h"

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <ctime>
#include <limits>

#include "api/fields.h"

namespace kvasir::api {
namespace {

namespace json = boost::json;

constexpr std::size_t kFileNameMost = 100;
constexpr std::size_t kLimitDefault = 20;
constexpr std::size_t kLimitMost = 10'000;

// An empty body is an empty object.
template <class Parse>
auto parse_with(std::string_view body, Parse parse) -> Result<decltype(parse(std::declval<Fields>()))> {
  try {
    KVASIR_ASSIGN_OR_RETURN(const json::value value, parse_body(body.empty() ? "{}" : body));
    return parse(Fields(value, ""));
  } catch (const FieldError& error) {
    return error.error();
  }
}

bool is_plain_name(std::string_view name) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_';
  };
  return !name.empty() && name.size() <= kFileNameMost && name.front() != '.' &&
         std::ranges::all_of(name, plain);
}

std::string utc_time(std::int64_t unix_seconds) {
  const auto seconds = static_cast<std::time_t>(unix_seconds);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

// Of a namespace a client is told no more: the rest is a hash of its salt.
bool is_salted(std::string_view name_space) {
  return name_space.find("salt:") != std::string_view::npos;
}

json::object memory_json(const engine::CachedConversation& c) {
  json::value key = nullptr;
  if (!c.family.empty()) key = json::string(c.family);
  return {{"tokens", c.tokens},
          {"in_use", c.in_use},
          {"salted", is_salted(c.name_space)},
          {"prompt_cache_key", std::move(key)}};
}

json::object disk_json(const kv::DiskConversation& c) {
  return {{"tokens", c.tokens},
          {"bytes", c.bytes},
          {"shared_bytes", c.shared_bytes},
          {"written_at", utc_time(c.written_unix_seconds)},
          {"model", c.label},
          {"salted", is_salted(c.name_space)}};
}

template <class Item, class ToJson>
json::object list_json(std::span<const Item> items, std::size_t limit, ToJson to_json) {
  json::array data;
  for (const Item& item : items.first(std::min(limit, items.size()))) data.push_back(to_json(item));
  return {{"total", items.size()}, {"data", std::move(data)}};
}

}  // namespace

Result<std::uint64_t> parse_cache_prune(std::string_view body) {
  return parse_with(body, [](const Fields& fields) {
    const auto keep = fields.integer("keep_bytes", 0, std::numeric_limits<std::int64_t>::max());
    if (!keep) field_error("keep_bytes", "is required: the bytes that may stay (0: none)");
    return static_cast<std::uint64_t>(*keep);
  });
}

Result<std::string> parse_cache_file(std::string_view body) {
  return parse_with(body, [](const Fields& fields) {
    std::string name = fields.required_string("file");
    if (!is_plain_name(name)) {
      field_error("file", "must be a plain name: letters, digits, '.', '-' and '_', at most 100");
    }
    return name;
  });
}

Result<std::size_t> parse_cache_limit(std::string_view query) {
  constexpr std::string_view kName = "limit=";
  while (!query.empty()) {
    const std::string_view one = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), one.size() + 1));
    if (!one.starts_with(kName)) continue;
    std::size_t limit = 0;
    const char* const end = one.data() + one.size();
    const auto [stopped, failed] = std::from_chars(one.data() + kName.size(), end, limit);
    if (failed == std::errc() && stopped == end && limit <= kLimitMost) return limit;
    return make_error(ErrorCode::kInvalidArgument, "limit: must be a number from 0 to 10000", "limit");
  }
  return kLimitDefault;
}

std::string cache_stats_body(const CacheReport& report) {
  const engine::EngineStats& e = report.engine;
  json::object memory{{"conversations", report.memory.size()},
                      {"block_tokens", kBlockTokens},
                      {"blocks", e.blocks_total},
                      {"blocks_free", e.blocks_free},
                      {"blocks_cached", e.blocks_cached},
                      {"blocks_in_use", e.blocks_total - e.blocks_free - e.blocks_cached}};
  json::value disk = nullptr;
  if (report.disk) {
    disk = json::object{{"conversations", report.disk_use.conversations},
                        {"records", report.disk_use.records},
                        {"tokens", report.disk_use.tokens},
                        {"bytes", report.disk_use.bytes},
                        {"folder_bytes", report.disk->bytes},
                        {"capacity_bytes", report.disk->capacity_bytes},
                        {"read_only", report.disk->read_only},
                        {"writes_stopped", report.disk->writes_stopped}};
  }
  return json::serialize(json::object{{"object", "cache"},
                                      {"model", report.model},
                                      {"memory", std::move(memory)},
                                      {"disk", std::move(disk)}});
}

std::string cache_conversations_body(std::span<const engine::CachedConversation> memory,
                                     std::span<const kv::DiskConversation> disk, std::size_t limit) {
  return json::serialize(json::object{{"object", "cache.conversations"},
                                      {"memory", list_json(memory, limit, memory_json)},
                                      {"disk", list_json(disk, limit, disk_json)}});
}

std::string cache_verify_body(const kv::DiskFolderReport& report) {
  json::array problems;
  for (const std::string& problem : report.problems) problems.push_back(json::string(problem));
  return json::serialize(json::object{{"object", "cache.verification"},
                                      {"records", report.records},
                                      {"unsound", report.bad_records},
                                      {"orphaned", report.orphans},
                                      {"problems", std::move(problems)}});
}

std::string cache_prune_body(std::uint64_t given_back_bytes) {
  return json::serialize(json::object{{"object", "cache.pruning"}, {"given_back_bytes", given_back_bytes}});
}

std::string cache_clear_body(const CacheCleared& cleared) {
  return json::serialize(json::object{{"object", "cache.clearing"},
                                      {"memory_blocks", cleared.memory_blocks},
                                      {"disk_bytes", cleared.disk_bytes},
                                      {"replayed_turns", cleared.replayed_turns}});
}

std::string cache_export_body(const std::string& path, std::uint64_t records) {
  return json::serialize(json::object{{"object", "cache.export"}, {"path", path}, {"records", records}});
}

std::string cache_import_body(const kv::Imported& imported) {
  return json::serialize(
      json::object{{"object", "cache.import"}, {"records", imported.records}, {"left_out", imported.others}});
}

}  // namespace kvasir::api
