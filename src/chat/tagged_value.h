#pragma once
// Reads the value of a tagged parameter up to and with its closing tag, and writes it as JSON as it goes:
// text is quoted, other values are read in JSON or Python's syntax. Values that may be either are held until
// they end.

#include <string>
#include <string_view>

#include "chat/literal_reader.h"
#include "chat/schema_view.h"
#include "chat/tool_format.h"

namespace kvasir::chat {

class TaggedValue {
 public:
  enum class Step {
    kMore,
    kDone,  // the closing tag's last character
    kFail,  // the character was not consumed
  };

  TaggedValue(const TaggedStyle& style, ValueKinds kinds);
  // Appends to `out` what has become certain.
  Step feed(char c, std::string& out);
  // After kFail: the end of what was consumed that is no part of the value.
  std::string_view unmatched() const { return state_ == State::kAfterLiteral ? std::string_view(mark_) : ""; }
  // The text ended within the value: what is held comes out as far as it goes.
  void cut(std::string& out);

 private:
  enum class State { kLead, kText, kHeld, kLiteral, kAfterLiteral };

  Step feed_lead(char c, std::string& out);
  Step feed_delimited(char c, std::string& out);
  void take(char c, std::string& out);
  bool may_be_word() const;
  void ended(std::string& out);

  const TaggedStyle& style_;
  ValueKinds kinds_;
  std::string close_;  // the closing tag with the white space before it that belongs to it
  State state_ = State::kLead;
  std::string mark_;   // what may still become the end
  bool lead_ = false;  // the first of these is the white space before the value
  std::string held_;   // of the value, not yet certain how to write it
  LiteralReader literal_;
};

}  // namespace kvasir::chat
