#pragma once
// GBNF as a grammar in llguidance's Lark dialect that admits exactly the same texts.
//
// The two differ in kind: GBNF reads characters, and any way of reading a text that works counts; the grammar
// engine first cuts a text into lexemes, each as long as can be, and never looks back. So what a lexeme is
// must be chosen with care. The regular parts of the grammar, as large as they come, are the candidates (an
// engine that reads characters one by one through the rules would be too slow in free text). Where a lexeme
// could go on at a place at which another one (or itself) is whole and what follows that begins with the same
// character, the longest reading is not the only one: it is cut into its parts, down to single characters
// where it must be. A grammar that does not refer back to itself is one lexeme.

#include <string>

#include "base/error.h"
#include "chat/gbnf.h"

namespace kvasir::chat {

// kInvalidArgument where the grammar is too large or too ambiguous.
Result<std::string> lark_of(Gbnf grammar);
// The same from the text; errors of the text as parse_gbnf() words them.
Result<std::string> gbnf_to_lark(std::string_view text);

}  // namespace kvasir::chat
