#pragma once
// llama.cpp's grammar notation (GBNF), read into rules over characters. The notation:
// https://github.com/ggml-org/llama.cpp/blob/master/grammars/README.md; its <token> references are refused.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "chat/char_set.h"

namespace kvasir::chat {

// A part of a rule. An empty sequence is the empty text.
struct GbnfNode {
  enum class Kind { kCharacter, kSequence, kAlternatives, kRepeat, kRule };
  Kind kind = Kind::kSequence;
  CharSet set = {};                  // kCharacter: one of these, not empty
  std::vector<GbnfNode> parts = {};  // kSequence, kAlternatives; kRepeat: exactly one
  std::uint32_t least = 1;           // kRepeat
  std::optional<std::uint32_t> most = {};
  std::size_t rule = 0;  // kRule: index
};

struct Gbnf {
  std::vector<GbnfNode> rules;
  std::size_t root = 0;
};

// Whether a grammar is GBNF (`root ::= ...`) and not Lark (`start: ...`).
bool is_gbnf(std::string_view grammar);

// kInvalidArgument says in which line and column what is wrong. Every rule that is named is defined.
Result<Gbnf> parse_gbnf(std::string_view text);

}  // namespace kvasir::chat
