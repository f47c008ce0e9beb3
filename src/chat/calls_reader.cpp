#include "chat/calls_reader.h"

#include <utility>

#include "chat/json_text.h"

namespace kvasir::chat {
namespace {

// Of the delimiters that may follow a call, in the order of CallsReader::marks_.
enum After : std::size_t { kCallClose, kSeparator, kNextCall, kListClose, kSectionClose };

}  // namespace

void CallsReader::open(std::string_view opener, std::string text) {
  text_ = std::move(text);
  section_open_ = list_open_ = call_open_ = false;
  if (opener == trim(format_.section.open)) {
    section_open_ = true;
    begin_list();
  } else {
    call_open_ = true;
    begin_body(false);
  }
}

void CallsReader::open_bare(std::string text) {
  text_ = std::move(text);
  section_open_ = list_open_ = call_open_ = false;
  begin_body(true);
  call_->feed('{');
}

void CallsReader::begin_list() {
  call_.reset();
  if (format_.list.open.empty()) return begin_call();
  marks_ = {format_.list.open};
  mark_.expect(marks_);
  state_ = State::kListOpen;
}

void CallsReader::begin_call() {
  call_.reset();
  if (trim(format_.call.open).empty()) return begin_body(false);
  marks_ = {format_.call.open};
  marks_.insert(marks_.end(), format_.other_call_opens.begin(), format_.other_call_opens.end());
  mark_.expect(marks_);
  state_ = State::kCallOpen;
}

void CallsReader::begin_body(bool bare) {
  call_ = make_call_reader({&format_, tools_, bare, declared_only_});
  state_ = State::kCall;
}

CallsReader::Step CallsReader::feed(char c) {
  if (state_ == State::kAfter) return feed_after(c);
  if (state_ == State::kCall) {
    const bool begun = call_->begun();
    switch (call_->feed(c)) {
      case CallReader::Step::kFail: {
        const std::string unmatched(call_->unmatched());
        return fail(unmatched);
      }
      case CallReader::Step::kText:
        text_.clear();
        return Step::kText;
      case CallReader::Step::kDone:
        text_.clear();
        return call_done();
      case CallReader::Step::kMore:
        break;
    }
    if (!call_->begun()) {
      text_.push_back(c);
      return Step::kMore;
    }
    text_.clear();
    return begun ? Step::kArguments : Step::kBegun;
  }
  const LooseMatch::Step step = mark_.feed(c);
  if (step == LooseMatch::Step::kFail) return fail(mark_.seen());
  text_.push_back(c);
  if (step == LooseMatch::Step::kMore) return Step::kMore;
  if (state_ == State::kListOpen) {
    list_open_ = true;
    begin_call();
  } else {
    call_open_ = true;
    begin_body(false);
  }
  return Step::kMore;
}

// The call has ended: what may follow without being text?
CallsReader::Step CallsReader::call_done() {
  if (format_.as<TaggedStyle>() != nullptr) call_open_ = false;  // it has read its own end
  expect_after();
  return Step::kCallEnded;
}

void CallsReader::expect_after() {
  state_ = State::kAfter;
  const bool more = section_open_ || list_open_;
  marks_.assign(kSectionClose + 1, {});
  if (call_open_) marks_[kCallClose] = format_.call.close;
  if (more && !call_open_) marks_[kSeparator] = format_.separator;
  if (more) marks_[kNextCall] = format_.call.open;
  if (list_open_) marks_[kListClose] = format_.list.close;
  if (section_open_) marks_[kSectionClose] = format_.section.close;
  // The delimiter of the call may have been left out.
  if (more && call_open_) marks_[kSeparator] = format_.separator;
  mark_.expect(marks_);
}

CallsReader::Step CallsReader::feed_after(char c) {
  if (!mark_.expects_any()) return fail({});
  if (c == '{' && mark_.seen().find_first_not_of(" \t\r\n") == std::string::npos && section_open_ &&
      trim(format_.call.open).empty() && trim(format_.separator).empty()) {
    text_ = mark_.seen() + c;
    begin_body(false);
    call_->feed(c);
    return Step::kMore;
  }
  const LooseMatch::Step step = mark_.feed(c);
  if (step == LooseMatch::Step::kFail) return fail(mark_.seen());
  return step == LooseMatch::Step::kDone ? mark_matched() : Step::kMore;
}

CallsReader::Step CallsReader::mark_matched() {
  switch (mark_.which()) {
    case kCallClose:
      call_open_ = false;
      break;
    case kSeparator:
      text_ = mark_.seen();
      begin_call();
      return Step::kMore;
    case kNextCall:
      text_ = mark_.seen();
      call_open_ = true;
      begin_body(false);
      return Step::kMore;
    case kListClose:
      list_open_ = false;
      break;
    default:
      section_open_ = list_open_ = false;
      break;
  }
  const bool more = list_open_ || (section_open_ && !trim(format_.section.close).empty());
  if (!more && mark_.which() != kCallClose) return Step::kDone;
  if (!more && !call_open_) return Step::kDone;
  expect_after();
  return Step::kMore;
}

CallsReader::Step CallsReader::fail(std::string_view again) {
  again_ = again;
  if (text_.size() >= again.size() && state_ != State::kAfter && !(call_ && call_->begun())) {
    text_.erase(text_.size() - again.size());
  }
  return Step::kFail;
}

std::string CallsReader::take_text() {
  return std::exchange(text_, {});
}

std::string CallsReader::take_again() {
  if (again_.empty() && state_ == State::kAfter) return mark_.seen();
  return std::exchange(again_, {});
}

}  // namespace kvasir::chat
