#pragma once
// LiteralStyle: f(a=1, b='x') and its relatives. The call is certain once its first argument, or its end, has
// begun.

#include <optional>
#include <set>

#include "chat/call_reader.h"
#include "chat/literal_reader.h"

namespace kvasir::chat {

class LiteralCall : public CallReader {
 public:
  explicit LiteralCall(const CallReaderContext& context);

  Step feed(char c) override;
  bool begun() const override { return begun_ || foreseen(); }
  void cut() override {
    if (state_ == State::kValue && !skipping_) value_.cut(pending_);
  }

 private:
  enum class State { kName, kFirst, kKey, kKeyText, kAssign, kValue, kAfter, kDone };

  Step feed_key(char c);
  Step feed_key_text(char c);
  Step feed_value(char c);
  Step key_ended(char c);
  Step arguments_ended();

  const LiteralStyle& style_;
  State state_ = State::kName;
  bool begun_ = false;
  char key_quote_ = 0;
  std::string key_;
  std::set<std::string, std::less<>> written_;
  bool skipping_ = false;
  std::string skipped_;
  LiteralReader value_;
};

}  // namespace kvasir::chat
