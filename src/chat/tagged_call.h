#pragma once
// TaggedStyle: a name and a tag a parameter. The call is certain once its first parameter, or its end, has
// begun.

#include <optional>
#include <set>

#include "chat/call_reader.h"
#include "chat/loose_match.h"
#include "chat/tagged_value.h"

namespace kvasir::chat {

class TaggedCall : public CallReader {
 public:
  explicit TaggedCall(const CallReaderContext& context);

  Step feed(char c) override;
  bool begun() const override { return begun_ || foreseen(); }
  std::string_view unmatched() const override;
  void cut() override {
    if (state_ == State::kValue && !skipping_) value_->cut(pending_);
  }

 private:
  enum class State {
    kName,
    kNameMark,
    kParameter,
    kParameterName,
    kParameterMark,
    kValueMark,
    kValue,
    kDone
  };

  Step feed_name(char c);
  Step feed_mark(char c);
  Step feed_parameter_name(char c);
  Step feed_value(char c);
  void expect(State state, std::initializer_list<std::string_view> marks);
  void expect_parameter();
  void begin_value(bool text_told, bool other_told);
  Step mark_ended();

  const ToolFormat& format_;
  const TaggedStyle& style_;
  std::span<const Tool> tools_;
  State state_ = State::kName;
  LooseMatch mark_;
  bool matching_ = false;
  bool begun_ = false;
  std::string parameter_;
  std::set<std::string, std::less<>> written_;
  bool skipping_ = false;  // a parameter that has been written already
  std::string skipped_;
  std::optional<TaggedValue> value_;
};

}  // namespace kvasir::chat
