#include "chat/output_parser.h"

#include <algorithm>
#include <utility>

#include "chat/ascii.h"
#include "chat/json_text.h"

namespace kvasir::chat {
namespace {

constexpr std::string_view kFence = "```";
// White space between a code fence and the call in it. A bound, so that what is held back has one too.
constexpr std::size_t kMaxFenceSpace = 16;
constexpr std::size_t kNineIdBytes = 9;

bool begins(std::string_view whole, std::string_view part) {
  return whole.substr(0, part.size()) == part;
}

}  // namespace

OutputParserOptions parser_options(const TemplateTraits& traits, const Conversation& conversation) {
  OutputParserOptions options;
  options.format = traits.format;
  options.reasoning = traits.reasoning;
  if (conversation.tool_choice.kind != ToolChoice::Kind::kNone) {
    options.tools = conversation.tools;
    std::erase_if(options.tools, [](const Tool& tool) { return tool.withdrawn; });
  }
  for (const Marker& marker : traits.markers) {
    if (!marker.ends_answer) options.markers.push_back(marker.text);
  }
  return options;
}

void leave_thoughts_in_text(OutputParserOptions& options) {
  const ReasoningFormat reasoning = std::exchange(options.reasoning, {});
  if (std::exchange(options.starts_in_reasoning, false))
    options.text_before = reasoning.open + reasoning.space.open;
  const auto of_tag = [&](const std::string& mark) {
    return reasoning.open.find(mark) != std::string::npos || mark == reasoning.close;
  };
  std::erase_if(options.markers, of_tag);
  std::erase_if(options.format.silent, of_tag);
}

OutputParser::OutputParser(OutputParserOptions options) : options_(std::move(options)) {
  if (!options_.tools.empty()) openers_ = call_openers(options_.format);
  if (options_.starts_in_reasoning && options_.reasoning.known()) {
    state_ = State::kReasoning;
    drop_space_ = true;
    any_output_ = true;
  } else if (!options_.starts_in_call.empty() && !openers_.empty()) {
    state_ = State::kCall;
    reader_.emplace(options_.format, options_.tools, options_.declared_only);
    reader_->open(options_.starts_in_call, {});
  }
  if (!options_.text_before.empty()) emit_text(options_.text_before);
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
    if (reader_->in_call()) {
      reader_->call().cut();
      arguments_ += reader_->call().take_arguments();
      call_ended();
    } else {
      // What had begun and was no call yet; or what may have been the end of one.
      const std::string text = reader_->take_text() + std::string(trim(reader_->take_again()));
      state_ = State::kText;
      emit_text(without_markers(text));
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
  Match found = Match::kNone;
  // The first delimiter that is complete counts; until one is, what any may still become.
  const auto try_one = [&](std::string_view delimiter, Match match) {
    if (delimiter.empty() || !begins(delimiter, mark_)) return;
    if (mark_.size() < delimiter.size()) match = Match::kPartial;
    if (found == Match::kNone || found == Match::kPartial) found = match;
  };
  if (state_ == State::kReasoning) {
    try_one(options_.reasoning.close, Match::kCloseReasoning);
  } else {
    const bool calls = !openers_.empty();
    if (calls && after_call_) try_one(trim(options_.format.section.close), Match::kCloseCall);
    if (after_call_ && close_fence_) try_one(kFence, Match::kCloseCall);
    for (const std::string& opener : openers_) try_one(opener, Match::kOpenCall);
    if (!any_output_ || options_.reasoning.anywhere) try_one(options_.reasoning.open, Match::kOpenReasoning);
    for (const std::string& mark : options_.format.silent) try_one(mark, Match::kSilent);
    if (found == Match::kNone && calls && options_.format.bare_call_opens_line && mark_opens_line_) {
      found = classify_bare();
    }
  }
  if (found != Match::kNone) return found;
  // Last: a marker may begin any of these.
  for (const std::string& marker : options_.markers) try_one(marker, Match::kSilent);
  return found;
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
    case Match::kSilent:
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
  std::size_t taken = 0;
  for (const std::string& marker : options_.markers) {
    if (begins(mark, marker)) taken = std::max(taken, marker.size());
  }
  if (taken == 0) {
    if (drop_space_ || (after_call_ && !any_text_)) space_.clear();
    emit_text(std::exchange(space_, {}) + mark.front());
    drop_space_ = false;
    after_call_ = false;
    close_fence_ = false;
    at_line_start_ = false;
    taken = 1;
  }
  for (const char c : std::string_view(mark).substr(taken)) consume(c);
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
  if (drop_space_) space_.clear();
  call_fenced_ = (bare && mark_.front() == kFence.front()) || (after_call_ && close_fence_);
  call_seen_ = false;
  reader_.emplace(options_.format, options_.tools, options_.declared_only);
  std::string text = std::exchange(space_, {}) + mark_;
  if (bare) {
    reader_->open_bare(std::move(text));
  } else {
    reader_->open(mark_, std::move(text));
  }
  mark_.clear();
  state_ = State::kCall;
}

void OutputParser::consume_call(char c) {
  using Step = CallsReader::Step;
  switch (reader_->feed(c)) {
    case Step::kMore:
      break;
    case Step::kBegun:
      call_begun();
      arguments_ += reader_->call().take_arguments();
      break;
    case Step::kArguments:
      arguments_ += reader_->call().take_arguments();
      break;
    case Step::kCallEnded:
      if (!call_open_) call_begun();
      arguments_ += reader_->call().take_arguments();
      call_ended();
      break;
    case Step::kDone:
      calls_done();
      break;
    case Step::kText:
      state_ = State::kText;
      drop_space_ = false;
      break;
    case Step::kFail:
      calls_fail(c);
      break;
  }
}

void OutputParser::call_begun() {
  flush_text();
  any_output_ = true;
  call_open_ = true;
  call_seen_ = true;
  const CallReader& call = reader_->call();
  std::string id = call.id();
  if (options_.format.ids == IdRule::kNine && id.size() != kNineIdBytes) id.clear();
  // A weak model repeats itself; a client tells calls apart by their ids.
  if (options_.make_id && (id.empty() || ids_.contains(id))) id = options_.make_id();
  ids_.insert(id);
  events_->push_back(ToolCallBegin{calls_, std::move(id), call.name()});
}

void OutputParser::call_ended() {
  flush_arguments();
  events_->push_back(ToolCallEnd{calls_});
  ++calls_;
  call_open_ = false;
}

void OutputParser::calls_done() {
  state_ = State::kText;
  at_line_start_ = false;
  drop_space_ = false;
  after_call_ = true;
  close_fence_ = call_fenced_;
}

void OutputParser::calls_fail(char c) {
  const std::string text = reader_->take_text();
  const std::string rest = reader_->take_again();
  // A call that is certain cannot be taken back; what follows is text.
  if (call_open_) call_ended();
  calls_done();
  if (!call_seen_ || !text.empty()) {
    emit_text(without_markers(text));
    after_call_ = close_fence_ = false;
    at_line_start_ = !text.empty() && text.back() == '\n';
  }
  for (const char again : rest) consume(again);
  consume(c);
}

// Control tokens are never shown: where they stand in something that is no call after all, they are left out.
std::string OutputParser::without_markers(std::string text) const {
  for (const std::string& marker : options_.markers) {
    std::string kept;
    std::size_t from = 0;
    for (std::size_t at = text.find(marker); at != std::string::npos; at = text.find(marker, from)) {
      kept.append(text, from, at - from);
      from = at + marker.size();
    }
    if (from > 0) text = kept.append(text, from);
  }
  return text;
}

void OutputParser::flush_arguments() {
  if (arguments_.empty()) return;
  events_->push_back(ToolCallArguments{calls_, std::exchange(arguments_, {})});
}

}  // namespace kvasir::chat
