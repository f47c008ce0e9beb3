#include "chat/thought_watch.h"

#include "chat/ascii.h"

namespace kvasir::chat {
ThoughtWatch::ThoughtWatch(ReasoningFormat format, bool opened)
    : format_(std::move(format)), state_(format_.known() ? State::kMayOpen : State::kOver) {
  if (format_.known() && opened) begin();
}

void ThoughtWatch::begin() {
  state_ = State::kInside;
  tag_.clear();
  from_.clear();
  any_text_ = false;
  ++thoughts_;
}

std::string_view ThoughtWatch::feed(std::string_view bytes) {
  ++token_;
  std::size_t outside = inside() ? bytes.size() : 0;  // from where on the bytes belong to no thought
  for (std::size_t i = 0; i < bytes.size() && state_ != State::kOver; ++i) {
    const bool was_inside = inside();
    if (was_inside) {
      consume_inside(bytes[i]);
    } else {
      consume_outside(bytes[i]);
    }
    if (was_inside != inside()) outside = inside() ? bytes.size() : i + 1;
  }
  return bytes.substr(outside);
}

void ThoughtWatch::consume_outside(char c) {
  if (format_.open.empty()) {
    state_ = State::kOver;
    return;
  }
  if (!format_.anywhere && tag_.empty() && is_space(c)) return;
  tag_ += c;
  const std::string_view open = format_.open;
  if (!format_.anywhere && !open.starts_with(tag_)) {
    state_ = State::kOver;  // something else opens the answer
    tag_.clear();
    return;
  }
  while (!open.starts_with(tag_)) tag_.erase(0, 1);
  if (tag_.size() == open.size()) begin();
}

void ThoughtWatch::consume_inside(char c) {
  tag_ += c;
  from_.push_back(token_);
  std::size_t text = 0;  // bytes that are no beginning of the tag after all
  while (!std::string_view(format_.close).starts_with(std::string_view(tag_).substr(text))) {
    count(tag_[text], from_[text]);
    ++text;
  }
  tag_.erase(0, text);
  from_.erase(from_.begin(), from_.begin() + static_cast<std::ptrdiff_t>(text));
  if (tag_.size() < format_.close.size()) return;
  state_ = format_.anywhere ? State::kMayOpen : State::kOver;
  tag_.clear();
}

void ThoughtWatch::count(char c, std::uint64_t token) {
  if (is_space(c)) return;  // counts once more text follows
  if (!any_text_) {
    any_text_ = true;
    ++counted_;
  } else {
    counted_ += static_cast<std::uint32_t>(token - last_);
  }
  last_ = token;
}

}  // namespace kvasir::chat
