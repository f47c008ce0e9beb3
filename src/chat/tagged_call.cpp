#include "chat/tagged_call.h"

#include <algorithm>

#include "chat/ascii.h"
#include "chat/json_text.h"

namespace kvasir::chat {
namespace {

constexpr std::size_t kNameBytesMax = 256;

}  // namespace

TaggedCall::TaggedCall(const CallReaderContext& context)
    : CallReader(context),
      format_(*context.format),
      style_(*context.format->as<TaggedStyle>()),
      tools_(context.tools) {}

CallReader::Step TaggedCall::feed(char c) {
  switch (state_) {
    case State::kName:
      return feed_name(c);
    case State::kParameterName:
      return feed_parameter_name(c);
    case State::kValue:
      return feed_value(c);
    case State::kDone:
      return Step::kFail;
    default:
      return feed_mark(c);
  }
}

std::string_view TaggedCall::unmatched() const {
  if (matching_) return mark_.seen();
  if (state_ == State::kParameterName) return parameter_;
  return state_ == State::kValue ? value_->unmatched() : std::string_view();
}

void TaggedCall::expect(State state, std::initializer_list<std::string_view> marks) {
  mark_.expect(marks);
  matching_ = true;
  state_ = state;
}

void TaggedCall::expect_parameter() {
  expect(State::kParameter, {style_.parameter_open, format_.call.close});
}

CallReader::Step TaggedCall::feed_name(char c) {
  const std::string_view end = trim(style_.name_end);
  if (name_.empty() && is_space(c)) return Step::kMore;
  const bool ended = end.empty() ? is_space(c) || c == '<' : c == end.front();
  if (!ended) {
    if (is_space(c) || c == '<' || c == '{' || name_.size() == kNameBytesMax) return Step::kFail;
    name_.push_back(c);
    foresee(name_);
    return Step::kMore;
  }
  if (name_.empty()) return Step::kFail;
  if (end.empty()) {
    expect_parameter();
  } else {
    expect(State::kNameMark, {end});
  }
  return feed_mark(c);
}

CallReader::Step TaggedCall::feed_mark(char c) {
  const LooseMatch::Step step = mark_.feed(c);
  if (step == LooseMatch::Step::kFail) return Step::kFail;
  if (step == LooseMatch::Step::kMore) return Step::kMore;
  matching_ = false;
  return mark_ended();
}

CallReader::Step TaggedCall::mark_ended() {
  switch (state_) {
    case State::kNameMark:
      expect_parameter();
      return Step::kMore;
    case State::kParameter:
      if (!begun_) pending_ = "{";
      begun_ = true;
      if (mark_.which() == 1) {
        pending_ += '}';
        state_ = State::kDone;
        return Step::kDone;
      }
      parameter_.clear();
      state_ = State::kParameterName;
      return Step::kMore;
    case State::kParameterMark: {
      const bool told = !style_.other_name_end.empty();
      begin_value(told && mark_.which() == 0, told && mark_.which() == 1);
      if (!style_.value_open.empty()) expect(State::kValueMark, {style_.value_open});
      return Step::kMore;
    }
    default:
      state_ = State::kValue;
      return Step::kMore;
  }
}

CallReader::Step TaggedCall::feed_parameter_name(char c) {
  // Both ends begin with the same character.
  if (c != style_.parameter_name_end.front()) {
    if (parameter_.size() == kNameBytesMax || c == '\n') return Step::kFail;
    parameter_.push_back(c);
    return Step::kMore;
  }
  parameter_ = std::string(trim(parameter_));
  if (parameter_.empty()) return Step::kFail;
  expect(State::kParameterMark, {style_.parameter_name_end, style_.other_name_end});
  return feed_mark(c);
}

void TaggedCall::begin_value(bool text_told, bool other_told) {
  ValueKinds kinds;
  const auto tool = std::ranges::find(tools_, name_, &Tool::name);
  if (text_told || other_told) {
    if (other_told) kinds = ValueKinds::all_but_text();
    kinds.text = text_told;
    kinds.told = true;
  } else if (tool != tools_.end()) {
    const auto* schema = property_schema(tool->parameters, parameter_);
    if (schema != nullptr) kinds = value_kinds(tool->parameters, *schema);
  }
  // Where one is written twice, the first counts: JSON's readers do not agree on it.
  skipping_ = !written_.insert(parameter_).second;
  if (!skipping_) pending_ += (written_.size() > 1 ? ", " : "") + quoted(parameter_) + ": ";
  value_.emplace(style_, kinds);
  state_ = State::kValue;
}

CallReader::Step TaggedCall::feed_value(char c) {
  const TaggedValue::Step step = value_->feed(c, skipping_ ? skipped_ : pending_);
  skipped_.clear();
  if (step == TaggedValue::Step::kFail) return Step::kFail;
  if (step == TaggedValue::Step::kDone) expect_parameter();
  return Step::kMore;
}

}  // namespace kvasir::chat
