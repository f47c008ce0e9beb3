#include "chat/char_set.h"

#include <algorithm>
#include <cstdio>

namespace kvasir::chat {
namespace {

constexpr char32_t kLast = 0x10FFFF;
constexpr CharRange kSurrogates{0xD800, 0xDFFF};

std::string escaped(char32_t c) {
  char text[16];
  const int size = std::snprintf(text, sizeof text, "\\u{%X}", static_cast<unsigned>(c));
  return {text, static_cast<std::size_t>(size)};
}

}  // namespace

CharSet char_set(std::vector<CharRange> ranges) {
  std::vector<CharRange> parts;
  for (CharRange range : ranges) {
    range.last = std::min(range.last, kLast);
    const CharRange below{range.first, std::min(range.last, static_cast<char32_t>(kSurrogates.first - 1))};
    const CharRange above{std::max(range.first, static_cast<char32_t>(kSurrogates.last + 1)), range.last};
    for (const CharRange& part : {below, above}) {
      if (part.first <= part.last) parts.push_back(part);
    }
  }
  std::ranges::sort(parts, {}, &CharRange::first);
  CharSet set;
  for (const CharRange& part : parts) {
    if (!set.empty() && part.first <= set.back().last + 1) {
      set.back().last = std::max(set.back().last, part.last);
    } else {
      set.push_back(part);
    }
  }
  return set;
}

CharSet complement(const CharSet& set) {
  std::vector<CharRange> gaps;
  char32_t next = 0;
  for (const CharRange& range : set) {
    if (next < range.first) gaps.push_back({next, range.first - 1});
    next = range.last + 1;
  }
  if (next <= kLast) gaps.push_back({next, kLast});
  return char_set(std::move(gaps));
}

CharSet unite(const CharSet& a, const CharSet& b) {
  std::vector<CharRange> all(a);
  all.insert(all.end(), b.begin(), b.end());
  return char_set(std::move(all));
}

bool intersect(const CharSet& a, const CharSet& b) {
  for (std::size_t i = 0, j = 0; i < a.size() && j < b.size();) {
    if (a[i].last < b[j].first) {
      ++i;
    } else if (b[j].last < a[i].first) {
      ++j;
    } else {
      return true;
    }
  }
  return false;
}

std::string regex_class(const CharSet& set) {
  std::string text = "[";
  for (const CharRange& range : set) {
    text += escaped(range.first);
    if (range.last > range.first) text += "-" + escaped(range.last);
  }
  return text + "]";
}

}  // namespace kvasir::chat
