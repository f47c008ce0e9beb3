#pragma once
// A grammar cut into lexemes and what joins them: which lexemes may begin it, which may follow one another.

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "chat/gbnf.h"
#include "chat/lexeme_automaton.h"

namespace kvasir::chat {

struct GbnfPiece {
  enum class Kind { kLexeme, kSequence, kAlternatives, kRepeat, kRule };
  Kind kind = Kind::kSequence;
  GbnfNode lexeme = {};  // kLexeme: regular
  std::shared_ptr<const LexemeAutomaton> automaton = {};
  std::size_t id = 0;  // kLexeme
  std::vector<GbnfPiece> parts = {};
  std::uint32_t least = 1;
  std::optional<std::uint32_t> most = {};
  std::size_t rule = 0;
};

// The rules that are not regular, with their regular parts as large as they come.
std::vector<GbnfPiece> cut(const Gbnf& grammar, const std::vector<bool>& regular);
// One lexeme as its parts.
void cut_finer(const Gbnf& grammar, GbnfPiece& lexeme);

// Sets of lexemes, by id.
using LexemeSet = std::vector<bool>;

struct LexemeOrder {
  LexemeSet first;                // may begin the text
  std::vector<LexemeSet> follow;  // by id, over all the places at which it stands
};

// Numbers the lexemes of the rules that `root` leads to, and orders them.
LexemeOrder order_lexemes(std::vector<GbnfPiece>& rules, std::size_t root, std::vector<GbnfPiece*>& lexemes);

}  // namespace kvasir::chat
