#pragma once
// What a request found in the cache, for the response of one that asks ("explain_cache": true).

#include <boost/json.hpp>
#include <cstdint>
#include <string>

namespace kvasir::api {

struct CacheExplanation {
  std::uint32_t prompt_tokens = 0;
  std::uint32_t cached_tokens = 0;    // found when the request began
  std::uint32_t loaded_tokens = 0;    // of them, from disk
  std::uint32_t replayed_tokens = 0;  // of the prompt: earlier answers as they were sampled
  // The part of the request that the first token not found belongs to, and what it is; empty where all was
  // found but the last token, which is read in any case, or where nothing is known of the parts.
  std::string new_from;  // "messages[3]", "system", "tools[1]"
  std::string what;      // "user message", "tool get_weather"
};

boost::json::object cache_json(const CacheExplanation& explanation);
// As a header says it: "prompt=9636 cached=9600 loaded=0 replayed=31 new_from=messages[3]".
std::string cache_header(const CacheExplanation& explanation);

}  // namespace kvasir::api
