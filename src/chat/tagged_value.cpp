#include "chat/tagged_value.h"

#include <utility>

#include "chat/ascii.h"
#include "chat/json_text.h"

namespace kvasir::chat {
TaggedValue::TaggedValue(const TaggedStyle& style, ValueKinds kinds)
    : style_(style), kinds_(kinds), close_(style.value_space.close + style.parameter_close), literal_({}) {}

TaggedValue::Step TaggedValue::feed(char c, std::string& out) {
  if (state_ == State::kLead) return feed_lead(c, out);
  if (state_ == State::kLiteral) {
    const LiteralReader::Step step = literal_.feed(c, out);
    if (step == LiteralReader::Step::kDone) state_ = State::kAfterLiteral;
    return step == LiteralReader::Step::kMore || step == LiteralReader::Step::kDone ? Step::kMore
                                                                                    : Step::kFail;
  }
  if (state_ == State::kAfterLiteral && mark_.empty() && is_space(c)) return Step::kMore;
  return feed_delimited(c, out);
}

// The template's white space before the value, and what the value begins with.
TaggedValue::Step TaggedValue::feed_lead(char c, std::string& out) {
  const bool text_only = kinds_.unknown() || (kinds_.text && !kinds_.null && !kinds_.other());
  if (!text_only && !kinds_.text) {
    if (is_space(c)) return Step::kMore;
    if (c == '{' || c == '[') {
      state_ = State::kLiteral;
      return feed(c, out);
    }
    state_ = State::kHeld;
    return feed_delimited(c, out);
  }
  if (text_only) out.push_back('"');
  state_ = text_only ? State::kText : State::kHeld;
  if (!style_.value_space.open.empty() && c == style_.value_space.open.front()) {
    // The line break before the value may be the one before the end of an empty one.
    mark_.assign(1, '\n');
    lead_ = true;
    return Step::kMore;
  }
  return feed_delimited(c, out);
}

TaggedValue::Step TaggedValue::feed_delimited(char c, std::string& out) {
  mark_.push_back(c);
  const std::string_view tag = style_.parameter_close;
  while (!mark_.empty()) {
    const bool spaced = std::string_view(close_).starts_with(mark_);
    if (spaced || tag.starts_with(mark_)) {
      if (mark_.size() < (spaced ? close_.size() : tag.size())) return Step::kMore;
      ended(out);
      return Step::kDone;
    }
    if (state_ == State::kAfterLiteral) {
      mark_.pop_back();
      return Step::kFail;
    }
    if (!std::exchange(lead_, false)) take(mark_.front(), out);
    mark_.erase(0, 1);
  }
  return Step::kMore;
}

// A value that may be a text or null is a text as soon as it is not null's beginning.
bool TaggedValue::may_be_word() const {
  return kinds_.other() || std::string_view("null").starts_with(held_) ||
         std::string_view("None").starts_with(held_);
}

void TaggedValue::take(char c, std::string& out) {
  if (state_ == State::kText) {
    append_quoted(out, c);
    return;
  }
  held_.push_back(c);
  if (may_be_word()) return;
  state_ = State::kText;
  out.push_back('"');
  for (const char held : std::exchange(held_, {})) append_quoted(out, held);
}

void TaggedValue::cut(std::string& out) {
  if (state_ == State::kLiteral) return literal_.cut(out);
  if (state_ != State::kText && state_ != State::kHeld) return;
  if (state_ == State::kHeld && !kinds_.text) {
    out += held_;
    return;
  }
  if (state_ == State::kHeld && !held_.empty()) out.push_back('"');
  for (const char held : held_) append_quoted(out, held);
  const std::string_view mark = std::string_view(mark_).substr(lead_ ? 1 : 0);
  if (state_ == State::kText || !held_.empty()) {
    for (const char c : mark) append_quoted(out, c);
  }
}

void TaggedValue::ended(std::string& out) {
  if (state_ == State::kAfterLiteral) return;
  if (state_ == State::kText) {
    out.push_back('"');
    return;
  }
  std::string_view value = trim(held_);
  std::string json = literal_word(value);
  if (json.empty() && kinds_.other()) {
    // An object, a list or a quoted string.
    LiteralReader reader({});
    LiteralReader::Step step = LiteralReader::Step::kMore;
    for (std::size_t i = 0; i < value.size() && step == LiteralReader::Step::kMore; ++i) {
      step = reader.feed(value[i], json);
      if (step == LiteralReader::Step::kDone && i + 1 < value.size()) step = LiteralReader::Step::kError;
    }
    // Quotes are part of a text, unless the tag said that what it holds is JSON.
    if (step != LiteralReader::Step::kDone || (json.front() == '"' && !kinds_.told)) json.clear();
  }
  // Where the schema wants no text, what cannot be one of its values is shown as it is.
  const bool fits = kinds_.text ? kinds_.admits(json) : !json.empty();
  out += fits ? json : quoted(kinds_.text ? std::string_view(held_) : value);
}

}  // namespace kvasir::chat
