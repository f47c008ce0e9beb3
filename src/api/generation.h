#pragma once
// What every generation endpoint's body is parsed into.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "api/anthropic_wishes.h"
#include "chat/conversation.h"
#include "engine/engine.h"

namespace kvasir::api {

// How thoughts are to reach the client; as the server has it where nothing is said.
struct ThoughtsShown {
  bool hidden = false;
  bool in_content = false;    // as the model wrote them, with their tags
  bool as_reasoning = false;  // the client speaks OpenRouter's dialect and looks for `reasoning`
};

struct GenerationOptions {
  std::string model;  // as the client named it; may be empty
  engine::SamplingParams sampling;
  bool seed_given = false;         // else the server draws one
  bool temperature_given = false;  // else the server's own default holds
  bool top_p_given = false;
  std::optional<std::uint32_t> max_tokens;  // 0 in text completions only; nullopt: what the context leaves
  std::uint32_t min_tokens = 0;             // as engine::Request has it
  std::vector<std::string> stop;
  std::vector<TokenId> stop_tokens;
  std::optional<std::uint32_t> logprobs;  // as engine::Request has it
  std::uint32_t n = 1;                    // answers a prompt
  bool stream = false;
  bool include_usage = false;  // stream: a last chunk with the usage
  bool use_cache = true;
  std::string cache_salt;                    // requests of different salts share nothing (vLLM's name)
  std::string client;                        // the server's: engine::Request's
  std::string cache_namespace;               // the server's, from key and salt
  std::string cache_family;                  // prompt_cache_key: requests of one session
  std::vector<std::string> cache_ancestors;  // the server's: families that wait for this request's
  std::string user_id;                       // metadata.user_id
  bool explain_cache = false;                // the response names what was not found in the cache
  bool ignore_eos = false;
  ThoughtsShown thoughts;
};

// What a tool is for the client, where that differs from what it is for the model.
struct ToolOrigin {
  std::string name;
  std::string name_space;
  bool custom = false;  // takes one text instead of JSON
};
using ToolOrigins = std::map<std::string, ToolOrigin>;  // by the model's name; plain functions are not in it

struct ChatRequest {
  GenerationOptions options;
  chat::Conversation conversation;
  ToolOrigins tool_origins;
  AnthropicWishes anthropic;          // of that dialect only
  std::vector<std::string> warnings;  // what of the request is not done; the response's header has them
  bool awaits_documents = false;      // the text of a file is not known yet: parse again when it is
};

struct CompletionRequest {
  GenerationOptions options;
  std::vector<std::variant<std::string, std::vector<TokenId>>> prompts;  // at least one
  std::string suffix;  // what stands behind the answer: it fills the middle; may be empty
  bool echo = false;   // the prompt's text stands before the answer
  chat::ResponseFormat format;
};

}  // namespace kvasir::api
