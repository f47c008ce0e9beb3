#pragma once
// Position automata (Glushkov) of the regular parts of a grammar, and what two of them that are read side by
// side have in common. Repetitions with large bounds are taken as unbounded: what is said is then true of
// more texts than there are, never of fewer.

#include <cstddef>
#include <optional>
#include <vector>

#include "chat/gbnf.h"

namespace kvasir::chat {

struct LexemeAutomaton {
  std::vector<CharSet> characters;               // by position
  std::vector<std::vector<std::size_t>> follow;  // by position: which may come next
  std::vector<std::size_t> first;
  std::vector<bool> last;  // by position
  bool nullable = false;

  CharSet first_characters() const;
};

// Nothing where it would have too many positions.
std::optional<LexemeAutomaton> lexeme_automaton(const Gbnf& grammar, const GbnfNode& node);

struct LexemeOverlap {
  bool same_text = false;  // some text is whole in both
  bool first_goes_on =
      false;  // the first can go on, with a character of `after_second`, where the second is whole
  bool second_goes_on = false;  // the other way round
};

// `steps` counts down; nothing when it is used up.
std::optional<LexemeOverlap> overlap(const LexemeAutomaton& a, const CharSet& after_a,
                                     const LexemeAutomaton& b, const CharSet& after_b, std::size_t& steps);

}  // namespace kvasir::chat
