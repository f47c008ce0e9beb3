#include "cli/local_chat.h"

#include <fmt/format.h>

#include <algorithm>
#include <future>

namespace kvasir::cli {

Result<LocalAnswer> answer(const server::LoadedModel& model, const chat::Conversation& conversation,
                           const engine::SamplingParams& sampling, std::uint32_t max_tokens,
                           const std::function<void(const std::string&)>& on_text) {
  KVASIR_ASSIGN_OR_RETURN(chat::RenderedPrompt prompt, model.renderer->render(conversation));
  const std::uint32_t context = model.engine->context_length();
  if (prompt.tokens.size() >= context) {
    return make_error(ErrorCode::kContextOverflow,
                      "the conversation is " + std::to_string(prompt.tokens.size()) +
                          " tokens, more than the context of " + std::to_string(context));
  }
  engine::Request request;
  const auto room = static_cast<std::uint32_t>(context - prompt.tokens.size());
  request.max_tokens = max_tokens == 0 ? room : std::min(max_tokens, room);
  request.prompt = std::move(prompt.tokens);
  request.sampling = sampling;

  auto done = std::make_shared<std::promise<Result<LocalAnswer>>>();
  auto future = done->get_future();
  auto text = std::make_shared<std::string>();
  const auto id = model.engine->submit(std::move(request), [done, text, on_text](engine::Event event) {
    if (const auto* piece = std::get_if<engine::Text>(&event)) {
      *text += piece->text;
      if (on_text && !piece->text.empty()) on_text(piece->text);
    } else if (auto* finished = std::get_if<engine::Finished>(&event)) {
      done->set_value(LocalAnswer{std::move(*text), std::move(*finished)});
    } else if (auto* failed = std::get_if<engine::Failed>(&event)) {
      done->set_value(std::move(failed->error));
    }
  });
  if (!id.ok()) return id.error();
  return future.get();
}

std::string summary(const engine::Finished& finished) {
  const engine::Usage& u = finished.usage;
  const double rate = u.completion_tokens > 1 && finished.decode_seconds > 0
                          ? (u.completion_tokens - 1) / finished.decode_seconds
                          : 0;
  return fmt::format("{} prompt tokens ({} cached, {:.2f} s), {} tokens at {:.1f}/s", u.prompt_tokens,
                     u.cached_tokens, finished.prefill_seconds, u.completion_tokens, rate);
}

}  // namespace kvasir::cli
