#include "cli/local_chat.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <future>

#include "server/turn_recording.h"

namespace kvasir::cli {

Result<LocalAnswer> answer(const server::LoadedModel& model, const chat::Conversation& conversation,
                           const engine::SamplingParams& sampling, std::uint32_t max_tokens,
                           const std::function<void(const std::string&)>& on_text) {
  KVASIR_ASSIGN_OR_RETURN(chat::RenderedPrompt prompt,
                          model.renderer->render(conversation, {model.replay.get(), {}}));
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
  std::shared_ptr<chat::TurnRecorder> recorder;  // null: the answer could not come back so
  if (prompt.recordable) {
    recorder = std::make_shared<chat::TurnRecorder>(server::recorder_options(conversation, model, {}));
  }
  const auto id = model.engine->submit(
      std::move(request),
      [done, text, on_text, recorder, replayed = prompt.replayed_tokens](engine::Event event) {
        if (const auto* piece = std::get_if<engine::Text>(&event)) {
          *text += piece->text;
          if (recorder) recorder->add(*piece, std::array<chat::OutputEvent, 1>{chat::TextDelta{piece->text}});
          if (on_text && !piece->text.empty()) on_text(piece->text);
        } else if (auto* finished = std::get_if<engine::Finished>(&event)) {
          if (recorder) recorder->finish({});
          done->set_value(LocalAnswer{std::move(*text), std::move(*finished), replayed});
        } else if (auto* failed = std::get_if<engine::Failed>(&event)) {
          done->set_value(std::move(failed->error));
        }
      });
  if (!id.ok()) return id.error();
  return future.get();
}

std::string summary(const LocalAnswer& answer) {
  const engine::Finished& finished = answer.finished;
  const engine::Usage& u = finished.usage;
  const double rate = u.completion_tokens > 1 && finished.decode_seconds > 0
                          ? (u.completion_tokens - 1) / finished.decode_seconds
                          : 0;
  return fmt::format("{} prompt tokens ({} cached, {} replayed, {:.2f} s), {} tokens at {:.1f}/s",
                     u.prompt_tokens, u.cached_tokens, answer.replayed_tokens, finished.prefill_seconds,
                     u.completion_tokens, rate);
}

}  // namespace kvasir::cli
