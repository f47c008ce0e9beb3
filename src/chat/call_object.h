#pragma once
// JsonCallStyle: {"name": N, "arguments": {...}}. The call is certain once the name and the first character
// of the arguments are there. Keys may come in any order and spacing.

#include <string>

#include "chat/call_reader.h"
#include "chat/json_scanner.h"

namespace kvasir::chat {

class CallObject : public CallReader {
 public:
  explicit CallObject(const CallReaderContext& context)
      : CallReader(context),
        style_(*context.format->as<JsonCallStyle>()),
        tools_(context.tools),
        bare_(context.bare) {}

  Step feed(char c) override;
  bool begun() const override { return foreseen() || (name_known_ && arguments_ != Arguments::kNone); }

 private:
  enum class State { kOpen, kFirstKey, kKey, kKeyText, kColon, kValue, kAfterValue, kClosed };
  enum class Slot { kName, kArguments, kOther };
  enum class Arguments { kNone, kReading, kComplete };

  Step feed_key_end();
  Step feed_value(char c);
  Step value_ended();
  Step object_ended();
  void foresee_name() { foresee(std::string_view(raw_).substr(1)); }
  bool name_ended();
  bool take_name(std::string name);
  bool arguments_string_ended();

  const JsonCallStyle& style_;
  std::span<const Tool> tools_;
  // A bare object must name a declared tool, have arguments and no other keys.
  bool bare_;
  State state_ = State::kOpen;
  Slot slot_ = Slot::kOther;
  JsonScanner scanner_;
  std::string raw_;  // the key or the string value being read, quotes included
  bool value_started_ = false;
  bool collecting_ = false;  // the value is a string that is needed whole (the name, arguments in a string)
  bool name_known_ = false;
  Arguments arguments_ = Arguments::kNone;
};

}  // namespace kvasir::chat
