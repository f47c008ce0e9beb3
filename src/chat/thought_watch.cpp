#include "chat/thought_watch.h"

namespace kvasir::chat {

ThoughtWatch::ThoughtWatch(ReasoningFormat format, bool opened)
    : format_(std::move(format)),
      state_(!format_.known() ? State::kOver
             : opened         ? State::kInside
                              : State::kMayOpen) {}

void ThoughtWatch::feed(std::string_view bytes) {
  if (state_ == State::kOver) return;
  seen_ += bytes;
  if (state_ == State::kMayOpen) {
    const std::size_t start = seen_.find_first_not_of(" \t\r\n");
    if (start == std::string::npos) {
      seen_.clear();
      return;
    }
    const std::string_view text = std::string_view(seen_).substr(start);
    const std::size_t common = std::min(text.size(), format_.open.size());
    if (text.substr(0, common) != std::string_view(format_.open).substr(0, common)) {
      state_ = State::kOver;
    } else if (common == format_.open.size()) {
      state_ = State::kInside;
      seen_.erase(0, start + common);
    }
  }
  if (state_ != State::kInside) return;
  if (seen_.find(format_.close) != std::string::npos) {
    state_ = State::kOver;
    seen_.clear();
  } else if (seen_.size() > format_.close.size()) {
    seen_.erase(0, seen_.size() - format_.close.size());
  }
}

}  // namespace kvasir::chat
