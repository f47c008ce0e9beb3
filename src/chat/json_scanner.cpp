#include "chat/json_scanner.h"

#include "chat/ascii.h"

namespace kvasir::chat {
namespace {

// Deeper nesting than any tool's arguments; a bound, because the memory taken grows with it.
constexpr std::size_t kMaxDepth = 256;

bool is_hex(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

}  // namespace

void JsonScanner::reset() {
  *this = JsonScanner();
}

JsonScanner::Step JsonScanner::feed(char c) {
  switch (state_) {
    case State::kValue:
    case State::kFirstElement:
      return feed_value(c);
    case State::kFirstKey:
    case State::kKey:
      if (is_space(c)) return Step::kMore;
      if (c == '"') return open_string(true);
      if (c == '}' && state_ == State::kFirstKey) return close('{');
      return Step::kError;
    case State::kColon:
      if (is_space(c)) return Step::kMore;
      if (c != ':') return Step::kError;
      state_ = State::kValue;
      return Step::kMore;
    case State::kAfterValue:
      return feed_after_value(c);
    case State::kString:
    case State::kEscape:
    case State::kUnicode:
      return feed_string(c);
    case State::kLiteral:
      if (c != literal_.front()) return Step::kError;
      literal_.remove_prefix(1);
      return literal_.empty() ? value_ended() : Step::kMore;
    default:
      return feed_number(c);
  }
}

JsonScanner::Step JsonScanner::feed_value(char c) {
  if (is_space(c)) return Step::kMore;
  if (c == ']' && state_ == State::kFirstElement) return close('[');
  if (c == '{' || c == '[') {
    if (open_.size() >= kMaxDepth) return Step::kError;
    open_.push_back(c);
    state_ = c == '{' ? State::kFirstKey : State::kFirstElement;
    return Step::kMore;
  }
  if (c == '"') return open_string(false);
  if (c == '-' || is_digit(c)) {
    state_ = c == '-' ? State::kNumberSign : c == '0' ? State::kNumberZero : State::kNumberInteger;
    return Step::kMore;
  }
  literal_ = c == 't' ? "rue" : c == 'f' ? "alse" : c == 'n' ? "ull" : "";
  if (literal_.empty()) return Step::kError;
  state_ = State::kLiteral;
  return Step::kMore;
}

JsonScanner::Step JsonScanner::open_string(bool key) {
  string_is_key_ = key;
  state_ = State::kString;
  return Step::kMore;
}

JsonScanner::Step JsonScanner::feed_string(char c) {
  if (state_ == State::kUnicode) {
    if (!is_hex(c)) return Step::kError;
    if (++unicode_digits_ == 4) state_ = State::kString;
    return Step::kMore;
  }
  if (state_ == State::kEscape) {
    if (c == 'u') {
      unicode_digits_ = 0;
      state_ = State::kUnicode;
      return Step::kMore;
    }
    if (std::string_view("\"\\/bfnrt").find(c) == std::string_view::npos) return Step::kError;
    state_ = State::kString;
    return Step::kMore;
  }
  if (c == '\\') {
    state_ = State::kEscape;
  } else if (c == '"') {
    if (!string_is_key_) return value_ended();
    state_ = State::kColon;
  }
  return Step::kMore;
}

bool JsonScanner::number_may_end() const {
  return state_ == State::kNumberZero || state_ == State::kNumberInteger ||
         state_ == State::kNumberFraction || state_ == State::kNumberExponentDigits;
}

JsonScanner::Step JsonScanner::feed_number(char c) {
  const State before = state_;
  if (is_digit(c)) {
    switch (before) {
      case State::kNumberSign:
        state_ = c == '0' ? State::kNumberZero : State::kNumberInteger;
        return Step::kMore;
      case State::kNumberZero:
        return Step::kError;
      case State::kNumberPoint:
        state_ = State::kNumberFraction;
        return Step::kMore;
      case State::kNumberExponent:
      case State::kNumberExponentSign:
        state_ = State::kNumberExponentDigits;
        return Step::kMore;
      default:
        return Step::kMore;
    }
  }
  if (c == '.' && (before == State::kNumberZero || before == State::kNumberInteger)) {
    state_ = State::kNumberPoint;
    return Step::kMore;
  }
  if ((c == 'e' || c == 'E') && number_may_end() && before != State::kNumberExponentDigits) {
    state_ = State::kNumberExponent;
    return Step::kMore;
  }
  if ((c == '+' || c == '-') && before == State::kNumberExponent) {
    state_ = State::kNumberExponentSign;
    return Step::kMore;
  }
  if (!number_may_end()) return Step::kError;
  state_ = State::kAfterValue;
  return open_.empty() ? Step::kDoneBefore : feed_after_value(c);
}

JsonScanner::Step JsonScanner::feed_after_value(char c) {
  if (is_space(c)) return Step::kMore;
  if (open_.empty()) return Step::kError;
  if (c == ',') {
    state_ = open_.back() == '{' ? State::kKey : State::kValue;
    return Step::kMore;
  }
  if (c == '}') return close('{');
  if (c == ']') return close('[');
  return Step::kError;
}

JsonScanner::Step JsonScanner::close(char opener) {
  if (open_.empty() || open_.back() != opener) return Step::kError;
  open_.pop_back();
  return value_ended();
}

JsonScanner::Step JsonScanner::value_ended() {
  state_ = State::kAfterValue;
  return open_.empty() ? Step::kDone : Step::kMore;
}

}  // namespace kvasir::chat
