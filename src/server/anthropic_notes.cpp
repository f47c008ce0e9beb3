#include "server/anthropic_notes.h"

#include <utility>

namespace kvasir::server {
namespace {

constexpr std::size_t kRecordsMost = 4096;

}  // namespace

void PromptRecords::remember(const std::string& message_id, api::PromptRecord record) {
  auto shared = std::make_shared<const api::PromptRecord>(std::move(record));
  const std::lock_guard lock(mutex_);
  records_[message_id] = std::move(shared);
  order_.push_back(message_id);
  if (order_.size() <= kRecordsMost) return;
  records_.erase(order_.front());
  order_.pop_front();
}

std::shared_ptr<const api::PromptRecord> PromptRecords::find(const std::string& message_id) const {
  const std::lock_guard lock(mutex_);
  const auto found = records_.find(message_id);
  return found == records_.end() ? nullptr : found->second;
}

api::CountTokens token_counter(const LoadedModel& model, const std::string& cache_namespace) {
  return [&model, cache_namespace](const chat::Conversation& conversation) -> Result<std::size_t> {
    KVASIR_ASSIGN_OR_RETURN(const chat::RenderedPrompt prompt,
                            model.renderer->render(conversation, {model.replay.get(), cache_namespace}));
    return prompt.tokens.size();
  };
}

api::AnthropicNotes anthropic_notes(const api::ChatRequest& request, const chat::RenderedPrompt& prompt,
                                    const LoadedModel& model, const std::string& message_id,
                                    PromptRecords& records) {
  const api::AnthropicWishes& wishes = request.anthropic;
  const auto prompt_tokens = static_cast<std::uint32_t>(prompt.tokens.size());
  api::AnthropicNotes notes;
  notes.max_tokens = request.options.max_tokens;
  notes.signer = wishes.signer;
  if (wishes.tells_transformations) notes.dropped_thoughts = wishes.foreign_thoughts;
  const std::size_t last = wishes.message_count - 1;
  std::vector<chat::PromptPart> parts;
  if (api::needs_parts(wishes.breakpoints, last)) parts = model.renderer->parts(request.conversation, prompt);
  notes.marks = api::cache_marks(wishes.breakpoints, last, parts, prompt_tokens);
  if (!wishes.diagnostics) return notes;

  notes.diagnoses = true;
  api::PromptRecord now = api::prompt_record(request.conversation, model.fingerprint,
                                             request.options.cache_namespace, prompt_tokens);
  const std::string& previous = wishes.diagnostics->previous_message_id;
  if (!previous.empty())
    notes.miss = api::cache_miss(records.find(previous).get(), now, request.conversation);
  records.remember(message_id, std::move(now));
  return notes;
}

}  // namespace kvasir::server
