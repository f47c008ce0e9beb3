#pragma once
// What an answer in Anthropic's dialect tells of its prompt: the parts of its usage, what context_management
// has cleared, and why its beginning was not that of an earlier request.

#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "api/anthropic_wishes.h"
#include "api/generation.h"
#include "chat/prompt.h"
#include "server/model_slot.h"

namespace kvasir::server {

// The requests that asked for diagnostics, by the ids of their answers; the oldest are forgotten, and all
// with the process. Thread-safe.
class PromptRecords {
 public:
  void remember(const std::string& message_id, api::PromptRecord record);
  // Null where it is not known.
  std::shared_ptr<const api::PromptRecord> find(const std::string& message_id) const;

 private:
  mutable std::mutex mutex_;
  std::unordered_map<std::string, std::shared_ptr<const api::PromptRecord>> records_;
  std::deque<std::string> order_;  // oldest first
};

// The prompt's length, as the model would be given it.
api::CountTokens token_counter(const LoadedModel& model, const std::string& cache_namespace);

// Of a request whose edits have been applied, and the prompt that came of it. `message_id`: the answer's.
api::AnthropicNotes anthropic_notes(const api::ChatRequest& request, const chat::RenderedPrompt& prompt,
                                    const LoadedModel& model, const std::string& message_id,
                                    PromptRecords& records);

}  // namespace kvasir::server
