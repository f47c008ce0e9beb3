#include "chat/replay_key.h"

#include <xxhash.h>

#include <algorithm>
#include <charconv>

#include "chat/json_text.h"

namespace kvasir::chat {
namespace {

// Every field with its length, so that no two lists of fields give the same bytes.
void put(std::string& out, std::string_view field) {
  out += std::to_string(field.size());
  out += ':';
  out += field;
}

void put_calls(std::string& out, const Message& turn) {
  for (const ToolCall& call : turn.tool_calls) {
    put(out, call.name);
    put(out, canonical_arguments(call.arguments));
  }
}

bool has_ids(const Message& turn) {
  return !turn.tool_calls.empty() &&
         std::ranges::none_of(turn.tool_calls, [](const ToolCall& call) { return call.id.empty(); });
}

}  // namespace

void ReplayContext::add(const Message& message) {
  const bool assistant = message.role == Role::kAssistant;
  std::string seen(1, static_cast<char>('0' + static_cast<int>(message.role)));
  seen += message.is_error ? '!' : '.';
  put(seen, assistant ? trim(message.content) : std::string_view(message.content));
  if (assistant) put_calls(seen, message);
  seen.append(reinterpret_cast<const char*>(digest_.data()), sizeof(digest_));
  const XXH128_hash_t hash = XXH3_128bits(seen.data(), seen.size());
  digest_ = {hash.low64, hash.high64};
}

std::string_view namespace_of(const ReplayKey& key) {
  // As put() wrote it: the length, a colon, the bytes.
  std::size_t length = 0;
  const auto [end, failed] = std::from_chars(key.data(), key.data() + key.size(), length);
  const auto begin = static_cast<std::size_t>(end - key.data()) + 1;
  if (failed != std::errc() || begin > key.size() || length > key.size() - begin) return {};
  return std::string_view(key).substr(begin, length);
}

ReplayKey replay_key(std::string_view cache_namespace, const ReplayContext& before, const Message& turn) {
  ReplayKey key;
  put(key, cache_namespace);
  if (has_ids(turn)) {
    key += 'i';
    for (const ToolCall& call : turn.tool_calls) put(key, call.id);
  } else {
    key += 'c';
    key.append(reinterpret_cast<const char*>(before.digest().data()), sizeof(before.digest()));
  }
  put(key, trim(turn.content));
  put(key, trim(turn.reasoning));
  put_calls(key, turn);
  return key;
}

}  // namespace kvasir::chat
