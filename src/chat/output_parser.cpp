#include "chat/output_parser.h"

#include <utility>

namespace kvasir::chat {
namespace {

constexpr std::string_view kFence = "```";
// White space between a code fence and the call in it. A bound, so that what is held back has one too.
constexpr std::size_t kMaxFenceSpace = 16;

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}
bool begins(std::string_view whole, std::string_view part) {
  return whole.substr(0, part.size()) == part;
}

}  // namespace

OutputParser::OutputParser(OutputParserOptions options)
    : options_(std::move(options)), declared_(options_.tool_names.begin(), options_.tool_names.end()) {
  if (options_.starts_in_reasoning && options_.reasoning.known()) {
    state_ = State::kReasoning;
    drop_space_ = true;
    any_output_ = true;
  }
}

void OutputParser::feed(std::string_view text, std::vector<OutputEvent>& events) {
  events_ = &events;
  for (const char c : text) consume(c);
  flush_text();
  flush_arguments();
}

void OutputParser::finish(std::vector<OutputEvent>& events) {
  events_ = &events;
  if (state_ == State::kCall) {
    if (call_begun_) {
      end_call();
    } else {
      state_ = State::kText;
      emit_text(call_text_);
    }
  } else {
    const std::string held = std::exchange(mark_, {});
    if (!held.empty() || !(drop_space_ || after_call_)) {
      if (drop_space_ || (after_call_ && !any_text_)) space_.clear();
      emit_text(std::exchange(space_, {}) + held);
    }
  }
  flush_text();
}

void OutputParser::consume(char c) {
  if (state_ == State::kCall) {
    consume_call(c);
  } else {
    consume_text(c);
  }
}

// --- Text and thoughts ---------------------------------------------------------------------------------

void OutputParser::consume_text(char c) {
  if (mark_.empty()) {
    if (is_space(c)) {
      space_.push_back(c);
      return;
    }
    mark_opens_line_ =
        space_.empty() ? at_line_start_ : (at_line_start_ || space_.find('\n') != std::string::npos);
  }
  mark_.push_back(c);
  const Match match = classify();
  if (match == Match::kNone) {
    mark_is_text();
  } else if (match != Match::kPartial) {
    on_mark(match);
  }
}

OutputParser::Match OutputParser::classify() const {
  const auto against = [this](std::string_view delimiter, Match match) {
    if (delimiter.empty() || !begins(delimiter, mark_)) return Match::kNone;
    return mark_.size() == delimiter.size() ? match : Match::kPartial;
  };
  const auto first_of = [](std::initializer_list<Match> matches) {
    for (const Match match : matches) {
      if (match != Match::kNone) return match;
    }
    return Match::kNone;
  };
  if (state_ == State::kReasoning) return against(options_.reasoning.close, Match::kCloseReasoning);
  const bool calls = !declared_.empty();
  return first_of({
      calls && after_call_ ? against(options_.format.close, Match::kCloseCall) : Match::kNone,
      after_call_ && close_fence_ ? against(kFence, Match::kCloseCall) : Match::kNone,
      calls ? against(options_.format.open, Match::kOpenCall) : Match::kNone,
      any_output_ ? Match::kNone : against(options_.reasoning.open, Match::kOpenReasoning),
      calls && options_.format.bare_call_opens_line && mark_opens_line_ ? classify_bare() : Match::kNone,
  });
}

// A line that opens with `{`, or with a fence whose first line opens with it: ```json\n{
OutputParser::Match OutputParser::classify_bare() const {
  std::string_view rest = mark_;
  if (rest.front() == '{') return Match::kBareCall;
  if (rest.size() <= kFence.size()) return begins(kFence, rest) ? Match::kPartial : Match::kNone;
  if (!begins(rest, kFence)) return Match::kNone;
  rest.remove_prefix(kFence.size());
  constexpr std::string_view kLanguage = "json";
  if (rest.size() <= kLanguage.size() && begins(kLanguage, rest)) return Match::kPartial;
  if (begins(rest, kLanguage)) rest.remove_prefix(kLanguage.size());
  const std::size_t call = rest.find_first_not_of(" \t\r\n");
  const std::string_view space = rest.substr(0, call);
  if (space.empty() || space.size() > kMaxFenceSpace) return Match::kNone;
  if (call == std::string_view::npos) return Match::kPartial;
  return rest[call] == '{' && space.find('\n') != std::string_view::npos ? Match::kBareCall : Match::kNone;
}

void OutputParser::on_mark(Match match) {
  if (match == Match::kOpenCall || match == Match::kBareCall) {
    begin_call(match == Match::kBareCall);
    return;
  }
  flush_text();
  const std::string mark = std::exchange(mark_, {});
  space_.clear();
  at_line_start_ = true;
  switch (match) {
    case Match::kOpenReasoning:
      state_ = State::kReasoning;
      any_output_ = true;
      drop_space_ = true;
      break;
    case Match::kCloseReasoning:
      state_ = State::kText;
      drop_space_ = true;
      break;
    default:  // kCloseCall: a fence may still follow a tag, and a tag a fence
      if (mark == kFence) close_fence_ = false;
      at_line_start_ = false;
      break;
  }
}

// The first character of the mark begins no delimiter; what follows it may.
void OutputParser::mark_is_text() {
  const std::string mark = std::exchange(mark_, {});
  if (drop_space_ || (after_call_ && !any_text_)) space_.clear();
  emit_text(std::exchange(space_, {}) + mark.front());
  drop_space_ = false;
  after_call_ = false;
  close_fence_ = false;
  at_line_start_ = false;
  for (const char c : std::string_view(mark).substr(1)) consume(c);
}

void OutputParser::emit_text(std::string_view text) {
  if (text.empty()) return;
  ready_ += text;
  any_output_ = true;
  if (state_ != State::kReasoning) any_text_ = true;
}

void OutputParser::flush_text() {
  if (ready_.empty()) return;
  if (state_ == State::kReasoning) {
    events_->push_back(ReasoningDelta{std::exchange(ready_, {})});
  } else {
    events_->push_back(TextDelta{std::exchange(ready_, {})});
  }
}

// --- Calls ---------------------------------------------------------------------------------------------

void OutputParser::begin_call(bool bare) {
  CallObject::Rules rules;
  rules.format = &options_.format;
  rules.is_declared = [this](std::string_view name) { return declared_.find(name) != declared_.end(); };
  rules.declared_names_only = bare;
  rules.arguments_required = bare;
  rules.other_keys_allowed = !bare;
  call_.emplace(std::move(rules));
  if (drop_space_) space_.clear();
  call_fenced_ = (bare && mark_.front() == kFence.front()) || (after_call_ && close_fence_);
  call_text_ = std::exchange(space_, {}) + std::exchange(mark_, {});
  call_begun_ = false;
  state_ = State::kCall;
  if (bare) call_->feed('{');
}

void OutputParser::consume_call(char c) {
  const CallObject::Step step = call_->feed(c);
  if (step == CallObject::Step::kFail) {
    call_fails(c);
    return;
  }
  if (!call_begun_) {
    call_text_.push_back(c);
    if (!call_->begun()) return;
    call_begun_ = true;
    call_text_.clear();
    flush_text();
    any_output_ = true;
    events_->push_back(
        ToolCallBegin{calls_, options_.make_id ? options_.make_id() : std::string(), call_->name()});
  }
  arguments_ += call_->take_arguments();
  if (step == CallObject::Step::kDone) end_call();
}

void OutputParser::end_call() {
  flush_arguments();
  events_->push_back(ToolCallEnd{calls_});
  ++calls_;
  call_.reset();
  state_ = State::kText;
  at_line_start_ = false;
  drop_space_ = false;
  after_call_ = true;
  close_fence_ = call_fenced_;
}

void OutputParser::call_fails(char c) {
  if (call_begun_) {
    // It cannot be taken back; what follows is text.
    end_call();
  } else {
    call_.reset();
    state_ = State::kText;
    emit_text(std::exchange(call_text_, {}));
    drop_space_ = false;
    after_call_ = false;
    at_line_start_ = !ready_.empty() && ready_.back() == '\n';
  }
  consume_text(c);
}

void OutputParser::flush_arguments() {
  if (arguments_.empty()) return;
  events_->push_back(ToolCallArguments{calls_, std::exchange(arguments_, {})});
}

}  // namespace kvasir::chat
