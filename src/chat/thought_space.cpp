#include "chat/thought_space.h"

#include <optional>

#include "chat/json_text.h"

namespace kvasir::chat {
namespace {

constexpr auto kNone = std::string_view::npos;

// White space only, and no more than a grammar behind a thought takes (see after_thought).
bool is_gap(std::string_view text) {
  return text.empty() || text == "\n" || text == "\n\n";
}

// What stands behind the last opening tag of `text`; a tag may end with white space of its own.
std::optional<std::string_view> behind_opening(const ReasoningFormat& reasoning, std::string_view text) {
  const std::string_view mark = trim(reasoning.open);
  const std::size_t open = text.rfind(mark);
  if (open == kNone) return std::nullopt;
  text.remove_prefix(open);
  text.remove_prefix(text.starts_with(reasoning.open) ? reasoning.open.size() : mark.size());
  return text;
}

}  // namespace

bool learn_space_from_turn(ReasoningFormat& reasoning, std::string_view rendered, std::string_view thought,
                           std::string_view answer) {
  const std::size_t at = rendered.rfind(thought);
  if (at == kNone) return false;
  const std::size_t behind = at + thought.size();
  const std::size_t close = rendered.find(reasoning.close, behind);
  if (close == kNone) return false;
  const std::optional<std::string_view> lead = behind_opening(reasoning, rendered.substr(0, at));
  const std::string_view tail = rendered.substr(behind, close - behind);
  if (!lead || !is_gap(*lead) || !is_gap(tail)) return false;
  reasoning.space = {std::string(*lead), std::string(tail)};
  const std::size_t after = close + reasoning.close.size();
  const std::size_t words = rendered.find(answer, after);
  if (words == kNone) return true;
  const std::string_view gap = rendered.substr(after, words - after);
  if (is_gap(gap)) reasoning.answer_space = gap;
  return true;
}

void learn_space_from_silence(ReasoningFormat& reasoning, std::string_view prompt) {
  const std::size_t close = prompt.rfind(reasoning.close);
  if (close == kNone) return;
  const std::string_view gap = prompt.substr(close + reasoning.close.size());
  if (!is_gap(gap)) return;
  reasoning.answer_space = gap;
  const std::optional<std::string_view> between = behind_opening(reasoning, prompt.substr(0, close));
  // Where the tag itself ends a line, an empty thought shows nothing of what would follow a longer one.
  const bool tag_ends_line = reasoning.open.ends_with('\n');
  if (between && between->empty() && !tag_ends_line) reasoning.space = {};
}

}  // namespace kvasir::chat
