#include "chat/call_object.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "chat/ascii.h"
#include "chat/json_text.h"

namespace kvasir::chat {
namespace {

namespace json = boost::json;

std::optional<std::string> decode_string(const std::string& quoted) {
  boost::system::error_code failed;
  const json::value value = json::parse(quoted, failed);
  if (failed || !value.is_string()) return std::nullopt;
  return std::string(value.get_string());
}

}  // namespace

CallObject::Step CallObject::feed(char c) {
  switch (state_) {
    case State::kOpen:
      if (is_space(c)) return Step::kMore;
      if (c != '{') return Step::kFail;
      state_ = State::kFirstKey;
      return Step::kMore;
    case State::kFirstKey:
    case State::kKey:
      if (is_space(c)) return Step::kMore;
      if (c == '}' && state_ == State::kFirstKey) return object_ended();
      if (c != '"') return Step::kFail;
      state_ = State::kKeyText;
      scanner_.reset();
      scanner_.feed(c);
      raw_ = "\"";
      return Step::kMore;
    case State::kKeyText: {
      const JsonScanner::Step step = scanner_.feed(c);
      if (step == JsonScanner::Step::kError) return Step::kFail;
      append_escaped(raw_, c);
      if (style_.name_key.empty() && !name_known_ && step == JsonScanner::Step::kMore) foresee_name();
      return step == JsonScanner::Step::kDone ? feed_key_end() : Step::kMore;
    }
    case State::kColon:
      if (is_space(c)) return Step::kMore;
      if (c != ':') return Step::kFail;
      state_ = State::kValue;
      scanner_.reset();
      value_started_ = false;
      return Step::kMore;
    case State::kValue:
      return feed_value(c);
    case State::kAfterValue:
      if (is_space(c)) return Step::kMore;
      if (c == '}') return object_ended();
      if (c != ',') return Step::kFail;
      state_ = State::kKey;
      return Step::kMore;
    case State::kClosed:
      break;
  }
  return Step::kFail;
}

CallObject::Step CallObject::feed_key_end() {
  const std::optional<std::string> key = decode_string(raw_);
  if (!key) return Step::kFail;
  const auto& arguments_keys = style_.arguments_keys;
  slot_ = Slot::kOther;
  if (style_.name_key.empty()) {
    if (!name_known_) {
      if (!take_name(*key)) return Step::kFail;
      slot_ = Slot::kArguments;
    }
  } else if (*key == style_.name_key && !name_known_) {
    slot_ = Slot::kName;
  } else if (std::find(arguments_keys.begin(), arguments_keys.end(), *key) != arguments_keys.end() &&
             arguments_ == Arguments::kNone) {
    slot_ = Slot::kArguments;
  }
  if (slot_ == Slot::kOther && bare_) return Step::kFail;
  state_ = State::kColon;
  return Step::kMore;
}

CallObject::Step CallObject::feed_value(char c) {
  if (!value_started_) {
    if (is_space(c)) return Step::kMore;
    value_started_ = true;
    if (slot_ == Slot::kName && c != '"') return Step::kFail;
    // null says "no arguments"; anything else that is neither an object nor a string is no call.
    if (slot_ == Slot::kArguments && c != '{' && c != '"' && c != 'n') return Step::kFail;
    collecting_ = slot_ != Slot::kOther && c == '"';
    raw_.clear();
    if (slot_ == Slot::kArguments && c == '{') arguments_ = Arguments::kReading;
  }
  const bool in_string = scanner_.in_string();
  const JsonScanner::Step step = scanner_.feed(c);
  if (step == JsonScanner::Step::kError) return Step::kFail;
  if (step == JsonScanner::Step::kDoneBefore) {
    state_ = State::kAfterValue;
    return feed(c);
  }
  if (collecting_) append_escaped(raw_, c);
  if (slot_ == Slot::kName && step == JsonScanner::Step::kMore) foresee_name();
  if (arguments_ == Arguments::kReading) {
    if (in_string) {
      append_escaped(pending_, c);
    } else {
      pending_.push_back(c);
    }
  }
  return step == JsonScanner::Step::kDone ? value_ended() : Step::kMore;
}

CallObject::Step CallObject::value_ended() {
  state_ = State::kAfterValue;
  if (slot_ == Slot::kName && !name_ended()) return Step::kFail;
  if (slot_ == Slot::kArguments) {
    if (arguments_ == Arguments::kReading) {
      arguments_ = Arguments::kComplete;
    } else if (collecting_) {
      if (!arguments_string_ended()) return Step::kFail;
    } else {
      pending_ = "{}";
      arguments_ = Arguments::kComplete;
    }
  }
  return Step::kMore;
}

bool CallObject::name_ended() {
  std::optional<std::string> name = decode_string(raw_);
  return name && take_name(std::move(*name));
}

bool CallObject::take_name(std::string name) {
  if (name.empty()) return false;
  if (bare_ && std::ranges::find(tools_, name, &Tool::name) == tools_.end()) return false;
  name_ = std::move(name);
  name_known_ = true;
  return true;
}

// {"arguments": "{\"path\": \"x\"}"}: the arguments are the JSON inside the string.
bool CallObject::arguments_string_ended() {
  std::optional<std::string> text = decode_string(raw_);
  if (!text) return false;
  if (text->find_first_not_of(" \t\r\n") == std::string::npos) text = "{}";
  boost::system::error_code failed;
  const json::value value = json::parse(*text, failed);
  if (failed || !value.is_object()) return false;
  pending_ = std::move(*text);
  arguments_ = Arguments::kComplete;
  return true;
}

CallObject::Step CallObject::object_ended() {
  if (!name_known_) return Step::kFail;
  if (arguments_ == Arguments::kNone) {
    if (bare_) return Step::kFail;
    pending_ = "{}";
    arguments_ = Arguments::kComplete;
  }
  state_ = State::kClosed;
  return Step::kDone;
}

}  // namespace kvasir::chat
