// PromptRenderer::parts(): where things begin in a prompt that has been rendered.

#include <algorithm>

#include "chat/history.h"
#include "chat/json_text.h"
#include "chat/prompt.h"

namespace kvasir::chat {
namespace {

constexpr char kEnd = 'P';

// A prompt's text with marks for the replayed turns, and which token each byte outside them is in.
class TokenMap {
 public:
  TokenMap(const CutPrompt& cut, const text::Tokenizer& tokenizer) {
    std::size_t text = 0;
    std::size_t token = 0;
    const auto pieces = cut.pieces();
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      const auto tokens = tokenizer.encode(pieces[i], text::SpecialText::kParse);
      // A tokenizer that changes the text (Unicode normalisation) leaves no certain places in this piece.
      if (tokenizer.decode(tokens, false) == pieces[i]) {
        for (std::size_t t = 0, at = text; t < tokens.size(); ++t) {
          at += tokenizer.bytes(tokens[t]).size();
          ends_.push_back({at, token + t});
        }
        ranges_.push_back({text, text + pieces[i].size()});
      }
      token += tokens.size();
      if (i == cut.turns.size()) break;
      turns_.push_back(token);
      token += cut.turns[i].turn.entry->tokens.size();
      text = cut.turns[i].end;
    }
    tokens_ = token;
  }

  std::size_t tokens() const { return tokens_; }
  std::size_t turn(std::size_t i) const { return turns_[i]; }
  // The token that holds the byte at `offset` of the marked text.
  std::optional<std::size_t> at(std::size_t offset) const {
    const bool mapped = std::ranges::any_of(
        ranges_, [offset](const auto& range) { return range.first <= offset && offset < range.second; });
    if (!mapped) return {};
    const auto found =
        std::ranges::upper_bound(ends_, offset, {}, &std::pair<std::size_t, std::size_t>::first);
    return found == ends_.end() ? std::nullopt : std::optional(found->second);
  }

 private:
  std::vector<std::pair<std::size_t, std::size_t>> ends_;    // text offset behind a token, the token
  std::vector<std::pair<std::size_t, std::size_t>> ranges_;  // of the text, that ends_ covers
  std::vector<std::size_t> turns_;                           // first token of each replayed turn
  std::size_t tokens_ = 0;
};

// A mark behind the words of each message that has words of its own in the prompt.
Conversation with_end_marks(Conversation conversation, const TurnJoiner& joiner) {
  for (std::size_t i = 0; i < conversation.messages.size(); ++i) {
    Message& message = conversation.messages[i];
    const std::string_view words = trim(message.content);
    if (words.empty()) continue;
    const auto end = static_cast<std::size_t>(words.data() - message.content.data()) + words.size();
    message.content.insert(end, joiner.mark(kEnd, i));
  }
  return conversation;
}

const char* what_is(const Message& message) {
  switch (message.role) {
    case Role::kSystem:
      return "system message";
    case Role::kUser:
      return "user message";
    case Role::kAssistant:
      return "assistant message";
    case Role::kTool:
      return "tool result";
  }
  return "message";
}

// Where each declared tool's name stands in `text` behind `from`, in order, as JSON has it; as far as they
// are found. By index in `tools`.
std::vector<std::pair<std::size_t, std::size_t>> find_tools(std::string_view text, std::size_t from,
                                                            const std::vector<Tool>& tools) {
  std::vector<std::pair<std::size_t, std::size_t>> places;
  for (std::size_t i = 0; i < tools.size(); ++i) {
    if (tools[i].deferred) continue;
    const std::size_t at = text.find('"' + tools[i].name + '"', from);
    if (at == std::string_view::npos) break;
    places.emplace_back(i, at);
    from = at + 1;
  }
  return places;
}

// Where the turn is opened whose words begin at `words`: behind the end of the turn before it, whose words
// begin at `last`. Where there is no such end, at the words.
std::size_t opening_before(std::string_view text, std::size_t last, std::size_t words, std::string_view end) {
  const std::size_t at = text.substr(0, words).rfind(end);
  return end.empty() || at == std::string_view::npos || at < last ? words : at + end.size();
}

// Takes the marks out of `text`; begins[i] is where message i begins in what is left, where that is certain.
std::vector<std::optional<std::size_t>> take_marks(std::string& text, const Conversation& conversation,
                                                   const TurnJoiner& joiner) {
  std::vector<std::optional<std::size_t>> begins(conversation.messages.size());
  for (std::size_t i = 0; i < begins.size(); ++i) {
    const std::string mark = joiner.mark(kEnd, i);
    const std::size_t at = text.find(mark);
    if (at == std::string::npos) continue;
    text.erase(at, mark.size());
    if (text.find(mark) != std::string::npos) return {};
    const std::string_view words = trim(conversation.messages[i].content);
    if (std::string_view(text).substr(0, at).ends_with(words)) begins[i] = at - words.size();
  }
  // A mark taken out moves those behind it; were they not in order, the places would be wrong.
  std::size_t last = 0;
  for (auto& begin : begins) {
    if (!begin) continue;
    if (*begin < last) return {};
    const std::size_t words = *begin;
    begin = opening_before(text, last, words, joiner.boundaries().end);
    last = words;
  }
  return begins;
}

}  // namespace

std::vector<PromptPart> PromptRenderer::parts(const Conversation& asked, const RenderedPrompt& prompt) const {
  const Conversation conversation = without_begun(asked);
  CutPrompt cut;
  cut.marked = prompt.text;
  if (!prompt.replayed.empty()) {
    const std::string_view canonical(prompt.text.data(), prompt.text.size() - prompt.begun.size());
    auto again = joiner_.cut(conversation, canonical, prompt.replayed, renderer());
    if (!again || again->turns.size() != prompt.replayed.size()) return {};
    cut = std::move(*again);
    cut.marked += prompt.begun;
  }
  const TokenMap map(cut, *tokenizer_);
  if (map.tokens() != prompt.tokens.size()) return {};

  std::vector<PromptPart> found;
  const auto add = [&found](std::string name, std::optional<std::size_t> token, std::string what) {
    if (token) found.push_back({std::move(name), static_cast<std::uint32_t>(*token), std::move(what)});
  };
  const Conversation turns_marked = with_marks(conversation, prompt.replayed, joiner_);
  if (declares_tools(conversation)) {
    // The tools begin where the prompt would go on otherwise without them.
    Conversation without = turns_marked;
    without.tools.clear();
    if (const auto text = render_text(without, true)) {
      const auto differs = std::ranges::mismatch(cut.marked, *text);
      const auto begin = static_cast<std::size_t>(differs.in1 - cut.marked.begin());
      add("tools", map.at(begin), "tools");
      for (const auto& [i, at] : find_tools(cut.marked, begin, conversation.tools)) {
        const Tool& tool = conversation.tools[i];
        add("tools[" + std::to_string(tool.client_index.value_or(i)) + "]", map.at(at), "tool " + tool.name);
      }
    }
  }
  Result<std::string> text = render_text(with_end_marks(turns_marked, joiner_), true);
  if (!text.ok()) return found;
  const auto begins = take_marks(*text, turns_marked, joiner_);
  *text += prompt.begun;
  // Only if the marks have changed nothing else.
  if (begins.empty() || *text != cut.marked) return found;
  std::size_t replayed = 0;
  for (std::size_t i = 0; i < begins.size(); ++i) {
    const Message& message = conversation.messages[i];
    const bool system = i == 0 && message.role == Role::kSystem;
    const std::string name =
        system ? "system" : "messages[" + std::to_string(message.client_index.value_or(i)) + "]";
    if (replayed < cut.turns.size() && cut.turns[replayed].turn.message == i) {
      add(name, map.turn(replayed++), "answer of this server");
    } else if (begins[i]) {
      add(name, map.at(*begins[i]), what_is(message));
    }
  }
  return found;
}

}  // namespace kvasir::chat
