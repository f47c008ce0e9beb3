#pragma once
// Reads the JSON object of a tool call a character at a time, {"name": N, "arguments": {...}}: knows the call
// as soon as the name and the first character of the arguments are there, and hands the arguments on as they
// are written. Keys may come in any order and spacing. Constant work a character.

#include <functional>
#include <string>
#include <string_view>

#include "chat/json_scanner.h"
#include "chat/tool_format.h"

namespace kvasir::chat {

class CallObject {
 public:
  struct Rules {
    const ToolFormat* format = nullptr;  // outlives the reader
    // Only a bare object needs these: nothing but its contents says that it is a call.
    bool declared_names_only = false;
    bool arguments_required = false;
    bool other_keys_allowed = true;
    std::function<bool(std::string_view)> is_declared;
  };
  enum class Step {
    kMore,
    kDone,  // the closing brace
    kFail,  // this is no call, or no longer one; the character was not consumed
  };

  explicit CallObject(Rules rules) : rules_(std::move(rules)) {}

  Step feed(char c);
  // The call is certain: its name is known and its arguments have begun.
  bool begun() const { return name_known_ && arguments_ != Arguments::kNone; }
  const std::string& name() const { return name_; }
  // Arguments read since the last call; empty before begun(). Joined they are the JSON the model wrote.
  std::string take_arguments();

 private:
  enum class State { kOpen, kFirstKey, kKey, kKeyText, kColon, kValue, kAfterValue, kClosed };
  enum class Slot { kName, kArguments, kOther };
  enum class Arguments { kNone, kReading, kComplete };

  Step feed_key_end();
  Step feed_value(char c);
  Step value_ended();
  Step object_ended();
  bool name_ended();
  bool arguments_string_ended();

  Rules rules_;
  State state_ = State::kOpen;
  Slot slot_ = Slot::kOther;
  JsonScanner scanner_;
  std::string raw_;  // the key or the string value being read, quotes included
  bool value_started_ = false;
  bool collecting_ = false;  // the value is a string that is needed whole (the name, arguments in a string)
  bool name_known_ = false;
  std::string name_;
  Arguments arguments_ = Arguments::kNone;
  std::string pending_;
};

}  // namespace kvasir::chat
