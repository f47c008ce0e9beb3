#pragma once
// Finds stop strings in text that comes in pieces, without ever letting out a part of one.
//
// The match that ends first wins; of those that end together, the longest. So the result does not depend on
// how the text was cut into pieces. Text that may still become a stop string is held back. Work is linear in
// the text for each stop string (Knuth, Morris, Pratt 1977).

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kvasir::engine {

class StopMatcher {
 public:
  // Empty stop strings are ignored.
  explicit StopMatcher(const std::vector<std::string>& stops);

  // Takes the next piece; returns the text that is certain now: whole characters if the pieces are. After a
  // match it is what stood before the stop string, and nothing more may be fed.
  std::string feed(std::string_view piece);
  // End of the text: what was held back. Empty after a match.
  std::string finish();
  // The stop string that was found.
  const std::optional<std::string>& matched() const { return matched_; }

 private:
  struct Pattern {
    std::string text;
    std::vector<std::uint32_t> fallback;  // (text.size()) longest proper border of text[0, i]
    std::uint32_t state = 0;              // bytes of text matched by the end of what was fed
  };
  static bool advance(Pattern& pattern, char byte);  // true when the whole pattern has been seen

  std::vector<Pattern> patterns_;
  std::string held_;
  std::optional<std::string> matched_;
};

}  // namespace kvasir::engine
