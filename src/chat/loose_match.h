#pragma once
// Matches input against delimiters a character at a time, not minding white space: before a delimiter and
// where it has white space itself, the input may have any or none. Constant work a character.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kvasir::chat {

class LooseMatch {
 public:
  enum class Step {
    kMore,
    kDone,  // the last character of a delimiter: which() says of which
    kFail,  // none goes on like this; the character was not consumed
  };

  // Empty delimiters never match. The texts must outlive the match.
  void expect(std::initializer_list<std::string_view> delimiters);
  void expect(const std::vector<std::string_view>& delimiters);
  Step feed(char c);
  // Index in the list given to expect().
  std::size_t which() const { return which_; }
  // What has been consumed since expect().
  const std::string& seen() const { return seen_; }
  bool expects_any() const { return !candidates_.empty(); }

 private:
  struct Candidate {
    std::size_t index = 0;
    std::string_view rest;
    bool space_allowed = true;
  };
  void add(std::size_t index, std::string_view delimiter);

  std::vector<Candidate> candidates_;
  std::string seen_;
  std::size_t which_ = 0;
};

}  // namespace kvasir::chat
