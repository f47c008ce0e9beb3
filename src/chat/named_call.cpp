#include "chat/named_call.h"

#include "chat/ascii.h"
#include "chat/json_text.h"

namespace kvasir::chat {
namespace {

// Names are words; what cannot be in one begins a mark.
bool ends_name(char c) {
  return is_space(c) || std::string_view("<>[]{}()\"'`,;").find(c) != std::string_view::npos;
}

constexpr std::size_t kNameBytesMax = 256;
constexpr std::string_view kPrefix = "functions.";  // where the model wrote another opening

}  // namespace

NamedCall::NamedCall(const CallReaderContext& context)
    : CallReader(context), style_(*context.format->as<NamedJsonStyle>()) {}

std::string_view NamedCall::unmatched() const {
  return state_ == State::kMark ? std::string_view(mark_.seen()) : std::string_view();
}

CallReader::Step NamedCall::feed(char c) {
  switch (state_) {
    case State::kName:
    case State::kId:
      return feed_name(c);
    case State::kMark:
      return feed_mark(c);
    case State::kOpen:
      if (is_space(c)) return Step::kMore;
      if (c != '{') return Step::kFail;
      state_ = State::kArguments;
      return feed_arguments(c);
    case State::kArguments:
      return feed_arguments(c);
  }
  return Step::kFail;
}

void NamedCall::expect_marks(bool id_too) {
  std::vector<std::string_view> marks = {id_too ? std::string_view(style_.id_mark) : std::string_view(),
                                         style_.name_end};
  marks.insert(marks.end(), style_.other_name_ends.begin(), style_.other_name_ends.end());
  mark_.expect(marks);
  state_ = State::kMark;
}

CallReader::Step NamedCall::feed_name(char c) {
  std::string& word = state_ == State::kName ? name_ : id_;
  if (!ends_name(c)) {
    if (word.size() == kNameBytesMax) return Step::kFail;
    word.push_back(c);
    if (state_ == State::kName) foresee_name();
    return Step::kMore;
  }
  if (word.empty()) return Step::kFail;
  if (state_ == State::kName) {
    if (!style_.text_name.empty() && name_ == style_.text_name)
      return is_space(c) ? Step::kText : Step::kFail;
    if (!name_ended()) return Step::kFail;
  }
  expect_marks(state_ == State::kName);
  // White space alone may be the whole mark.
  const bool space_is_mark = trim(style_.name_end).empty();
  if (space_is_mark) state_ = State::kOpen;
  return space_is_mark ? feed(c) : feed_mark(c);
}

void NamedCall::foresee_name() {
  // An id is told with the name, and a word in the name's place may open text.
  if (!style_.id_mark.empty() || style_.text_name.starts_with(name_)) return;
  std::string_view beginning = name_;
  if (!style_.index_mark.empty()) {
    if (!beginning.starts_with(kPrefix)) return;
    beginning.remove_prefix(kPrefix.size());
  }
  if (!beginning.empty()) foresee(beginning);
}

bool NamedCall::name_ended() {
  if (style_.index_mark.empty()) return true;
  if (name_.starts_with(kPrefix)) name_.erase(0, kPrefix.size());
  const std::size_t mark = name_.rfind(style_.index_mark);
  if (mark == std::string::npos) return true;
  const std::string_view digits = std::string_view(name_).substr(mark + style_.index_mark.size());
  if (digits.find_first_not_of("0123456789") == std::string_view::npos) name_.erase(mark);
  return !name_.empty();
}

CallReader::Step NamedCall::feed_mark(char c) {
  const LooseMatch::Step step = mark_.feed(c);
  if (step == LooseMatch::Step::kFail) return Step::kFail;
  if (step == LooseMatch::Step::kDone) state_ = mark_.which() == 0 ? State::kId : State::kOpen;
  return Step::kMore;
}

CallReader::Step NamedCall::feed_arguments(char c) {
  const bool in_string = scanner_.in_string();
  const JsonScanner::Step step = scanner_.feed(c);
  if (step == JsonScanner::Step::kError || step == JsonScanner::Step::kDoneBefore) return Step::kFail;
  if (in_string) {
    append_escaped(pending_, c);
  } else {
    pending_.push_back(c);
  }
  return step == JsonScanner::Step::kDone ? Step::kDone : Step::kMore;
}

}  // namespace kvasir::chat
