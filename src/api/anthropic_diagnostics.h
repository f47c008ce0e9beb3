#pragma once
// Anthropic's cache diagnostics: why a prompt did not begin as that of an earlier request of the same client,
// which names it by the id of its answer (`diagnostics.previous_message_id`).
//
// What is compared is what the model reads (messages as parsed, after context_management), so that a moved
// cache_control or another spelling of the same JSON is no difference.

#include <boost/json.hpp>
#include <cstdint>
#include <optional>
#include <string>

#include "api/fields.h"
#include "chat/conversation.h"

namespace kvasir::api {

// What is remembered of an answered request: digests, no text.
struct PromptRecord {
  std::string cache_namespace;  // ids of other clients are not found
  std::string model;
  std::string system;
  std::string tools;
  std::string messages;  // of the first message_count, behind the system prompt
  std::size_t message_count = 0;
  std::string rest;  // thinking and template options
  std::uint32_t prompt_tokens = 0;
};

// What the request says of the earlier one; nullopt in a request without `diagnostics`.
struct DiagnosticsWish {
  std::string previous_message_id;  // empty: a first request
};
std::optional<DiagnosticsWish> parse_diagnostics(const Fields& body);

// `model` names weights, not an alias: aliases share their cache.
PromptRecord prompt_record(const chat::Conversation& conversation, const std::string& model,
                           const std::string& cache_namespace, std::uint32_t prompt_tokens);

struct CacheMiss {
  const char* type = "";              // as the response names it
  bool by_change = false;             // it tells how many tokens were missed
  std::uint32_t expected_tokens = 0;  // by_change: what would have been found
};

// `before`: null where the earlier request is not known. nullopt where the conversation only goes on.
std::optional<CacheMiss> cache_miss(const PromptRecord* before, const PromptRecord& now,
                                    const chat::Conversation& conversation);

// The response's `diagnostics`, once it is known what was found in the cache; null where nothing was missed.
boost::json::value diagnostics_json(const std::optional<CacheMiss>& miss, std::uint32_t prompt_tokens,
                                    std::uint32_t cached_tokens);

}  // namespace kvasir::api
