#pragma once
// Rules that refer back to themselves only at one end are loops: `ws ::= ([ \t] ws)?` is `[ \t]*`.

#include "chat/gbnf.h"

namespace kvasir::chat {

void write_loops(Gbnf& grammar);
// Whether some text is whole.
bool ends(const Gbnf& grammar);
// By rule: whether nothing in it, at any depth, refers back to itself.
std::vector<bool> regular_rules(const Gbnf& grammar);
bool is_regular(const GbnfNode& node, const std::vector<bool>& regular);

}  // namespace kvasir::chat
