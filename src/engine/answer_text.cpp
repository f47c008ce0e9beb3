#include "engine/answer_text.h"

#include <algorithm>
#include <utility>

namespace kvasir::engine {

std::optional<Text> AnswerText::add(SampledToken token) {
  const std::size_t begin = decoded_;
  std::string visible;
  if (!tokenizer_.is_special(token.token) || std::ranges::find(shown_, token.token) != shown_.end()) {
    const std::string characters = decoder_.feed(tokenizer_.bytes(token.token));
    decoded_ += characters.size();
    visible = pass_stops(characters);
  }
  if (tokens_before_stops_ > 0) --tokens_before_stops_;
  pending_.push_back({std::move(token), begin, decoded_});
  if (visible.empty()) return std::nullopt;
  return emit(std::move(visible), stops_.matched().has_value());
}

std::string AnswerText::pass_stops(const std::string& characters) {
  return tokens_before_stops_ > 0 ? characters : stops_.feed(characters);
}

std::optional<Text> AnswerText::finish() {
  std::string visible;
  if (!stops_.matched()) {
    const std::string characters = decoder_.finish();
    decoded_ += characters.size();
    visible = pass_stops(characters);
  }
  visible += stops_.finish();
  if (visible.empty() && pending_.empty()) return std::nullopt;
  Text text = *emit(std::move(visible), true);
  if (text.text.empty() && text.tokens.empty()) return std::nullopt;
  return text;
}

std::optional<Text> AnswerText::emit(std::string visible, bool last) {
  emitted_ += visible.size();
  Text text{std::move(visible), {}};
  while (!pending_.empty()) {
    Pending& next = pending_.front();
    if (!last && next.end > emitted_) break;
    // `begin` at the cut belongs to the stop string, unless there is none.
    if (next.begin < emitted_ || next.end <= emitted_ || !stops_.matched()) {
      text.tokens.push_back(std::move(next.token));
    }
    pending_.pop_front();
  }
  return text;
}

}  // namespace kvasir::engine
