#include "engine/stop_matcher.h"

#include <algorithm>
#include <utility>

namespace kvasir::engine {
namespace {

// The last place at or before `end` where a UTF-8 character begins.
std::size_t character_start(std::string_view text, std::size_t end) {
  if (end >= text.size()) return text.size();
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
  return end;
}

}  // namespace

StopMatcher::StopMatcher(const std::vector<std::string>& stops) {
  for (const std::string& stop : stops) {
    if (stop.empty()) continue;
    Pattern pattern;
    pattern.text = stop;
    pattern.fallback.assign(stop.size(), 0);
    for (std::uint32_t i = 1, border = 0; i < stop.size(); ++i) {
      while (border > 0 && stop[i] != stop[border]) border = pattern.fallback[border - 1];
      if (stop[i] == stop[border]) ++border;
      pattern.fallback[i] = border;
    }
    patterns_.push_back(std::move(pattern));
  }
}

bool StopMatcher::advance(Pattern& pattern, char byte) {
  while (pattern.state > 0 && pattern.text[pattern.state] != byte) {
    pattern.state = pattern.fallback[pattern.state - 1];
  }
  if (pattern.text[pattern.state] == byte) ++pattern.state;
  return pattern.state == pattern.text.size();
}

std::string StopMatcher::feed(std::string_view piece) {
  if (matched_) return {};
  if (patterns_.empty()) return std::string(piece);
  for (const char byte : piece) {
    held_.push_back(byte);
    const Pattern* longest = nullptr;
    for (Pattern& pattern : patterns_) {
      if (!advance(pattern, byte)) continue;
      if (longest == nullptr || pattern.text.size() > longest->text.size()) longest = &pattern;
    }
    if (longest == nullptr) continue;
    // held_ reaches back at least to the start of every partial match, so the whole stop string is in it.
    matched_ = longest->text;
    held_.resize(character_start(held_, held_.size() - longest->text.size()));
    return std::exchange(held_, {});
  }
  std::uint32_t partial = 0;
  for (const Pattern& pattern : patterns_) partial = std::max(partial, pattern.state);
  const std::size_t certain = character_start(held_, held_.size() - partial);
  std::string out = held_.substr(0, certain);
  held_.erase(0, certain);
  return out;
}

std::string StopMatcher::finish() {
  return std::exchange(held_, {});
}

}  // namespace kvasir::engine
