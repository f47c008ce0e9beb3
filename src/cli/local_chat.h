#pragma once
// One answer at a time from a model in this process, for `chat` and `run`.

#include <functional>
#include <string>

#include "chat/conversation.h"
#include "engine/engine.h"
#include "server/model_slot.h"

namespace kvasir::cli {

struct LocalAnswer {
  std::string text;
  engine::Finished finished;
  std::uint32_t replayed_tokens = 0;  // of the prompt: earlier answers as they were sampled
};

// Blocks until the answer is complete; `on_text` sees it as it comes, on the engine's thread. Answers go into
// the model's replay table, and come back from it, as the server's without a key do.
Result<LocalAnswer> answer(const server::LoadedModel& model, const chat::Conversation& conversation,
                           const engine::SamplingParams& sampling, std::uint32_t max_tokens,
                           const std::function<void(const std::string&)>& on_text);

// "12 prompt tokens (8 cached, 3 replayed, 0.1 s), 30 tokens at 55.1/s"
std::string summary(const LocalAnswer& answer);

}  // namespace kvasir::cli
