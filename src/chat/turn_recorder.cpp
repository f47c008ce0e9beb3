#include "chat/turn_recorder.h"

#include <algorithm>
#include <utility>

#include "chat/json_text.h"

namespace kvasir::chat {

ReplayContext context_of(const Conversation& conversation) {
  ReplayContext context;
  for (const Message& message : conversation.messages) context.add(message);
  return context;
}

TurnRecorder::TurnRecorder(TurnRecorderOptions options) : options_(std::move(options)) {
  turn_.role = Role::kAssistant;
}

void TurnRecorder::add(const engine::Text& text, std::span<const OutputEvent> events) {
  raw_ += text.text;
  for (const engine::SampledToken& token : text.tokens) tokens_.push_back(token.token);
  for (const OutputEvent& event : events) take(event);
}

void TurnRecorder::take(const OutputEvent& event) {
  if (const auto* text = std::get_if<TextDelta>(&event)) {
    if (std::exchange(text_block_ended_, false) && options_.text_in_blocks && !turn_.content.empty()) {
      turn_.content += '\n';
    }
    turn_.content += text->text;
  } else if (const auto* thought = std::get_if<ReasoningDelta>(&event)) {
    turn_.reasoning += thought->text;
  } else if (const auto* call = std::get_if<ToolCallBegin>(&event)) {
    turn_.tool_calls.push_back({call->id, call->name, {}});
    text_block_ended_ = true;
  } else if (const auto* arguments = std::get_if<ToolCallArguments>(&event)) {
    turn_.tool_calls[arguments->index].arguments += arguments->fragment;
  }
}

// What the client saw is what was sampled. Not so where a stop string cut a token in two, where a thought was
// empty (templates leave those out) or came at an odd place, and where the model wrote marks of turns.
bool TurnRecorder::whole() const {
  const text::Tokenizer& tokenizer = *options_.tokenizer;
  text::StreamDecoder decoder;
  std::string decoded;
  for (const TokenId token : tokens_) {
    const bool shown = std::ranges::find(options_.shown_tokens, token) != options_.shown_tokens.end();
    if (shown || !tokenizer.is_special(token)) decoded += decoder.feed(tokenizer.bytes(token));
  }
  decoded += decoder.finish();
  if (decoded != raw_) return false;
  if (options_.reasoning.known()) {
    const bool tagged = raw_.find(options_.reasoning.close) != std::string::npos ||
                        raw_.find(options_.reasoning.open) != std::string::npos;
    if (tagged && trim(turn_.reasoning).empty()) return false;
    if (turn_.content.find(options_.reasoning.close) != std::string::npos) return false;
  }
  return std::ranges::none_of(tokens_, [&](TokenId token) {
    if (!tokenizer.is_special(token)) return false;
    const std::string_view text = tokenizer.bytes(token);
    return text.empty() || options_.end == text || options_.opening.find(text) != std::string::npos;
  });
}

void TurnRecorder::finish(std::span<const OutputEvent> last) {
  for (const OutputEvent& event : last) take(event);
  if (options_.text_in_blocks) {
    for (ToolCall& call : turn_.tool_calls) {
      if (arguments_object(call.arguments).is_string()) call.arguments = "{}";
    }
  }
  const bool shown = !trim(turn_.content).empty() || !turn_.tool_calls.empty();
  if (!shown || tokens_.empty() || !whole()) return;
  options_.table->record(replay_key(options_.cache_namespace, options_.before, turn_), tokens_);
}

}  // namespace kvasir::chat
