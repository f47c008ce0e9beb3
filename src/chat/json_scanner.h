#pragma once
// Reads one JSON value a character at a time and says when it is complete (RFC 8259, strict, but for raw
// control characters in strings, which small models write and whose repair is the caller's). Constant work a
// character. Not thread-safe: one caller at a time.

#include <string>
#include <string_view>

namespace kvasir::chat {

class JsonScanner {
 public:
  enum class Step {
    kMore,        // the character belongs to the value, which goes on
    kDone,        // the character ends the value
    kDoneBefore,  // the value (a number) had ended before this character, which is not part of it
    kError,       // no JSON value continues like this
  };

  Step feed(char c);
  void reset();
  // The next character is inside a string (a raw control character there needs escaping).
  bool in_string() const { return state_ == State::kString; }

 private:
  enum class State {
    kValue,
    kFirstElement,
    kFirstKey,
    kKey,
    kColon,
    kAfterValue,
    kString,
    kEscape,
    kUnicode,
    kLiteral,
    kNumberSign,
    kNumberZero,
    kNumberInteger,
    kNumberPoint,
    kNumberFraction,
    kNumberExponent,
    kNumberExponentSign,
    kNumberExponentDigits,
  };

  Step feed_value(char c);
  Step feed_string(char c);
  Step feed_number(char c);
  Step feed_after_value(char c);
  Step open_string(bool key);
  Step value_ended();
  Step close(char opener);
  bool number_may_end() const;

  State state_ = State::kValue;
  std::string open_;  // the containers around the next character, as '{' and '['
  bool string_is_key_ = false;
  int unicode_digits_ = 0;
  std::string_view literal_;  // what is still to come of true, false or null
};

}  // namespace kvasir::chat
