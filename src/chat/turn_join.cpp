#include "chat/turn_join.h"

#include <array>
#include <random>

#include "chat/json_text.h"

namespace kvasir::chat {
namespace {

constexpr char kContent = 'C';
constexpr char kThought = 'R';

// Words that no template contains by itself, and that show it if it escapes, folds or rewrites what it is
// given.
constexpr const char* kQuestion = "Kvasir-Probe-Question";
constexpr const char* kAnswer = "Kvasir \"probe\"  <answer>\n\n  & 'more'";
constexpr const char* kResult = "Kvasir-Probe-Result";
constexpr const char* kTool = "kvasir_probe_tool";

Message turn(Role role, std::string content) {
  Message message;
  message.role = role;
  message.content = std::move(content);
  return message;
}

std::size_t trimmed_end(std::string_view text) {
  const std::size_t last = text.find_last_not_of(" \t\r\n");
  return last == std::string_view::npos ? 0 : last + 1;
}

bool stands_once(std::string_view text, std::string_view mark, std::size_t at) {
  return at != std::string_view::npos && text.find(mark, at + 1) == std::string_view::npos;
}

// The opening, and the token that ends a turn of text: false where turns of text are not kept.
bool probe_text(const RenderTurns& render, const text::Tokenizer& tokenizer, TurnBoundaries& found) {
  Conversation conversation;
  conversation.messages = {turn(Role::kUser, kQuestion)};
  const Result<std::string> open = render(conversation, true);
  const Result<std::string> closed = render(conversation, false);
  conversation.messages.push_back(turn(Role::kAssistant, kAnswer));
  conversation.messages.push_back(turn(Role::kUser, kQuestion));
  const Result<std::string> longer = render(conversation, true);
  if (!open || !closed || !longer || !open->starts_with(*closed)) return false;
  found.opening = open->substr(closed->size());

  // White space that the template writes between the opening and the turn was not there when the turn was
  // generated; what was sampled has its own.
  const std::string_view text = *longer;
  const std::size_t at = text.find(kAnswer);
  if (!stands_once(text, kAnswer, at) || !text.starts_with(*open)) return false;
  if (at < open->size() || !trim(text.substr(open->size(), at - open->size())).empty()) return false;

  const std::string_view behind = text.substr(at + std::string_view(kAnswer).size());
  const std::vector<TokenId> tokens = tokenizer.encode(behind, text::SpecialText::kParse);
  if (tokens.empty() || !tokenizer.is_special(tokens.front())) return false;
  found.end = tokenizer.bytes(tokens.front());
  return !found.end.empty() && behind.starts_with(found.end);
}

// A turn with a call can be cut out where the template writes all that stands around it the same with the
// call's words replaced.
bool probe_calls(const RenderTurns& render, const TurnBoundaries& found, TurnBoundaries::Calls way) {
  Conversation conversation;
  Message call = turn(Role::kAssistant, "");
  call.tool_calls = {{"call_0000", kTool, R"({"x":1})"}};
  Message result = turn(Role::kTool, kResult);
  result.tool_call_id = "call_0000";
  result.name = kTool;
  conversation.messages = {turn(Role::kUser, kQuestion), std::move(call), std::move(result)};
  const Result<std::string> canonical = render(conversation, true);
  Message& replaced = conversation.messages[1];
  replaced.content = kAnswer;
  if (way == TurnBoundaries::Calls::kAsContent) replaced.tool_calls.clear();
  for (ToolCall& left : replaced.tool_calls) left.arguments = "{}";
  const Result<std::string> marked = render(conversation, true);
  if (!canonical || !marked) return false;
  const std::size_t at = marked->find(kAnswer);
  if (!stands_once(*marked, kAnswer, at)) return false;
  const std::string_view before = std::string_view(*marked).substr(0, at);
  if (!before.ends_with(found.opening) || !canonical->starts_with(before.substr(0, trimmed_end(before)))) {
    return false;
  }
  const std::size_t end = marked->find(found.end, at);
  return end != std::string::npos && canonical->ends_with(std::string_view(*marked).substr(end));
}

}  // namespace

TurnBoundaries probe_turns(const RenderTurns& render, const text::Tokenizer& tokenizer) {
  using Calls = TurnBoundaries::Calls;
  TurnBoundaries found;
  found.keeps_turns = probe_text(render, tokenizer, found);
  if (!found.keeps_turns) return found;
  for (const Calls way : {Calls::kAsContent, Calls::kBesideContent}) {
    if (found.calls == Calls::kNever && probe_calls(render, found, way)) found.calls = way;
  }
  return found;
}

std::vector<std::string_view> CutPrompt::pieces() const {
  std::vector<std::string_view> list;
  std::size_t begin = 0;
  for (const Turn& turn : turns) {
    list.push_back(std::string_view(marked).substr(begin, turn.begin - begin));
    begin = turn.end;
  }
  list.push_back(std::string_view(marked).substr(begin));
  return list;
}

TurnJoiner::TurnJoiner(TurnBoundaries boundaries, ReasoningFormat reasoning)
    : boundaries_(std::move(boundaries)), reasoning_(std::move(reasoning)) {
  // Random, so that no client can write a mark of its own.
  std::random_device random;
  for (int i = 0; i < 4; ++i) nonce_ += std::to_string(random());
}

std::string TurnJoiner::mark(char kind, std::size_t index) const {
  return "KvasirMark" + nonce_ + kind + std::to_string(index) + "E";
}

bool TurnJoiner::ends_with_opening(std::string_view prompt) const {
  return boundaries_.keeps_turns && prompt.ends_with(boundaries_.opening);
}

Conversation with_marks(const Conversation& conversation, const std::vector<ReplayTurn>& turns,
                        const TurnJoiner& joiner) {
  Conversation marked = conversation;
  for (const ReplayTurn& turn : turns) {
    Message& message = marked.messages[turn.message];
    message.content = joiner.mark(kContent, turn.message);
    if (!message.reasoning.empty()) message.reasoning = joiner.mark(kThought, turn.message);
    if (joiner.boundaries().calls == TurnBoundaries::Calls::kAsContent) message.tool_calls.clear();
    for (ToolCall& call : message.tool_calls) call.arguments = "{}";
  }
  return marked;
}

// Where the sampled tokens begin: right behind the opening, with nothing between it and the turn's first mark
// but white space and, before a thought, its tag.
std::optional<std::size_t> TurnJoiner::begin_of(std::string_view text, std::size_t from,
                                                const Message& message, std::size_t index,
                                                std::size_t content) const {
  std::size_t first = content;
  const bool thinks = !message.reasoning.empty();
  if (thinks) {
    const std::string thought = mark(kThought, index);
    first = text.find(thought, from);
    if (!stands_once(text, thought, first) || first > content || boundaries_.opening.empty()) return {};
    const std::size_t behind = first + thought.size();
    if (trim(text.substr(behind, content - behind)) != reasoning_.close) return {};
  }
  if (boundaries_.opening.empty()) return from + trimmed_end(text.substr(from, first - from));
  const std::size_t opening = text.substr(0, first).rfind(boundaries_.opening);
  if (opening == std::string_view::npos || opening < from) return {};
  const std::size_t begin = opening + boundaries_.opening.size();
  const std::string_view lead = trim(text.substr(begin, first - begin));
  if (!lead.empty() && !(thinks && lead == reasoning_.open)) return {};
  return begin;
}

bool TurnJoiner::find_turn(std::string_view text, std::size_t from, const Message& message,
                           CutPrompt::Turn& turn) const {
  const std::string mark_text = mark(kContent, turn.turn.message);
  const std::size_t content = text.find(mark_text, from);
  if (!stands_once(text, mark_text, content)) return false;
  const auto begin = begin_of(text, from, message, turn.turn.message, content);
  if (!begin) return false;
  const std::size_t behind = content + mark_text.size();
  const std::size_t end = text.find(boundaries_.end, behind);
  const bool calls_stand_there =
      !message.tool_calls.empty() && boundaries_.calls == TurnBoundaries::Calls::kBesideContent;
  if (end == std::string_view::npos || (end != behind && !calls_stand_there)) return false;
  for (const ToolCall& call : message.tool_calls) {
    if (call.name.find(boundaries_.end) != std::string::npos) return false;  // that was not the turn's end
  }
  turn.begin = *begin;
  turn.end = end;
  return true;
}

namespace {

// All that is not replaced stands in the template's own rendering too, in order.
bool agrees(std::string_view canonical, const std::vector<std::string_view>& pieces) {
  if (!canonical.starts_with(pieces.front())) return false;
  std::size_t at = pieces.front().size();
  for (std::size_t i = 1; i + 1 < pieces.size(); ++i) {
    at = canonical.find(pieces[i], at);
    if (at == std::string_view::npos) return false;
    at += pieces[i].size();
  }
  return canonical.ends_with(pieces.back()) && canonical.size() - pieces.back().size() >= at;
}

}  // namespace

std::optional<CutPrompt> TurnJoiner::cut(const Conversation& conversation, std::string_view canonical,
                                         std::vector<ReplayTurn> turns, const RenderTurns& render) const {
  if (!boundaries_.keeps_turns) return {};
  if (boundaries_.calls == TurnBoundaries::Calls::kNever) {
    std::erase_if(turns, [&](const ReplayTurn& turn) {
      return !conversation.messages[turn.message].tool_calls.empty();
    });
  }
  // A turn that is left out is rendered with its own words the next time. That may change what the template
  // makes of others, but not often and not for long.
  constexpr int kAttempts = 4;
  for (int attempt = 0; attempt < kAttempts && !turns.empty(); ++attempt) {
    Result<std::string> marked = render(with_marks(conversation, turns, *this), true);
    if (!marked.ok()) return {};
    CutPrompt cut;
    cut.marked = std::move(*marked);
    std::vector<ReplayTurn> kept;
    std::size_t from = 0;
    for (const ReplayTurn& turn : turns) {
      CutPrompt::Turn found{turn, 0, 0};
      if (!find_turn(cut.marked, from, conversation.messages[turn.message], found)) continue;
      from = found.end;
      cut.turns.push_back(found);
      kept.push_back(turn);
    }
    if (kept.size() == turns.size()) {
      if (!agrees(canonical, cut.pieces())) return {};
      return cut;
    }
    turns = std::move(kept);
  }
  return {};
}

}  // namespace kvasir::chat
