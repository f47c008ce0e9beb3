#pragma once
// Sets of Unicode characters, as ranges. Surrogates are no characters.

#include <string>
#include <vector>

namespace kvasir::chat {

struct CharRange {
  char32_t first = 0;
  char32_t last = 0;
};

// In order, and apart from one another.
using CharSet = std::vector<CharRange>;

CharSet char_set(std::vector<CharRange> ranges);
CharSet complement(const CharSet& set);
CharSet unite(const CharSet& a, const CharSet& b);
bool intersect(const CharSet& a, const CharSet& b);
// As a class of a regular expression, in ASCII.
std::string regex_class(const CharSet& set);

}  // namespace kvasir::chat
