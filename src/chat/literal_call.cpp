#include "chat/literal_call.h"

#include "chat/ascii.h"
#include "chat/json_text.h"

namespace kvasir::chat {
namespace {

constexpr std::size_t kNameBytesMax = 256;

bool in_name(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-' ||
         c == '.' || c == '/' || c == ':' || c == '$' || static_cast<unsigned char>(c) >= 0x80;
}

// Schemas name parameters as they like, with spaces or an `@`; what ends or opens something is in none.
bool in_key(char c) {
  return std::string_view("\"'(){}[],\n\r").find(c) == std::string_view::npos;
}

}  // namespace

LiteralCall::LiteralCall(const CallReaderContext& context)
    : CallReader(context),
      style_(*context.format->as<LiteralStyle>()),
      value_({style_.quote, style_.bare_keys}) {}

CallReader::Step LiteralCall::feed(char c) {
  switch (state_) {
    case State::kName:
      if (name_.empty() && is_space(c)) return Step::kMore;
      if (c == style_.arguments.open.front() && !name_.empty()) {
        state_ = State::kFirst;
        return Step::kMore;
      }
      if (!in_name(c) || name_.size() == kNameBytesMax) return Step::kFail;
      name_.push_back(c);
      foresee(name_);
      return Step::kMore;
    case State::kFirst:
    case State::kKey:
      return feed_key(c);
    case State::kKeyText:
      return feed_key_text(c);
    case State::kAssign:
      if (is_space(c)) return Step::kMore;
      return c == style_.assign.front() ? key_ended(c) : Step::kFail;
    case State::kValue:
      return feed_value(c);
    case State::kAfter:
      if (is_space(c)) return Step::kMore;
      if (c == style_.arguments.close.front()) return arguments_ended();
      if (c != ',') return Step::kFail;
      state_ = State::kKey;
      return Step::kMore;
    case State::kDone:
      break;
  }
  return Step::kFail;
}

CallReader::Step LiteralCall::feed_key(char c) {
  if (is_space(c)) return Step::kMore;
  if (c == style_.arguments.close.front()) return arguments_ended();
  key_.clear();
  key_quote_ = c == '"' || c == '\'' ? c : 0;
  state_ = State::kKeyText;
  return key_quote_ != 0 ? Step::kMore : feed_key_text(c);
}

CallReader::Step LiteralCall::feed_key_text(char c) {
  if (key_quote_ != 0 && c == key_quote_) {
    state_ = State::kAssign;
    return Step::kMore;
  }
  if (key_quote_ == 0) {
    if (c == style_.assign.front()) return key_ended(c);
    if (!in_key(c)) return Step::kFail;
  }
  if (key_.size() == kNameBytesMax) return Step::kFail;
  key_.push_back(c);
  return Step::kMore;
}

CallReader::Step LiteralCall::key_ended(char /*assign*/) {
  if (key_quote_ == 0) key_ = std::string(trim(key_));
  if (key_.empty()) return Step::kFail;
  if (!begun_) pending_ = "{";
  begun_ = true;
  skipping_ = !written_.insert(key_).second;  // the first counts
  if (!skipping_) pending_ += (written_.size() > 1 ? ", " : "") + quoted(key_) + ": ";
  value_.reset();
  state_ = State::kValue;
  return Step::kMore;
}

CallReader::Step LiteralCall::feed_value(char c) {
  const LiteralReader::Step step = value_.feed(c, skipping_ ? skipped_ : pending_);
  skipped_.clear();
  if (step == LiteralReader::Step::kError) return Step::kFail;
  if (step == LiteralReader::Step::kMore) return Step::kMore;
  state_ = State::kAfter;
  return step == LiteralReader::Step::kDone ? Step::kMore : feed(c);
}

CallReader::Step LiteralCall::arguments_ended() {
  if (!begun_) pending_ = "{";
  begun_ = true;
  pending_ += '}';
  state_ = State::kDone;
  return Step::kDone;
}

}  // namespace kvasir::chat
