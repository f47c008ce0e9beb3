#include "chat/loose_match.h"

#include "chat/ascii.h"
#include "chat/json_text.h"

namespace kvasir::chat {
void LooseMatch::add(std::size_t index, std::string_view delimiter) {
  const std::string_view text = trim(delimiter);
  if (!text.empty()) candidates_.push_back({index, text, true});
}

void LooseMatch::expect(std::initializer_list<std::string_view> delimiters) {
  expect(std::vector<std::string_view>(delimiters));
}

void LooseMatch::expect(const std::vector<std::string_view>& delimiters) {
  candidates_.clear();
  seen_.clear();
  for (std::size_t i = 0; i < delimiters.size(); ++i) add(i, delimiters[i]);
}

LooseMatch::Step LooseMatch::feed(char c) {
  std::size_t left = 0;
  for (std::size_t i = 0; i < candidates_.size(); ++i) {
    Candidate candidate = candidates_[i];
    std::string_view& rest = candidate.rest;
    if (is_space(c)) {
      if (is_space(rest.front())) {
        rest.remove_prefix(1);
        while (is_space(rest.front())) rest.remove_prefix(1);
        candidate.space_allowed = true;
      }
      if (candidate.space_allowed) candidates_[left++] = candidate;
      continue;
    }
    while (is_space(rest.front())) rest.remove_prefix(1);
    if (rest.front() != c) continue;
    rest.remove_prefix(1);
    candidate.space_allowed = false;
    if (rest.empty()) {
      which_ = candidate.index;
      seen_.push_back(c);
      return Step::kDone;
    }
    candidates_[left++] = candidate;
  }
  candidates_.resize(left);
  if (left == 0) return Step::kFail;
  seen_.push_back(c);
  return Step::kMore;
}

}  // namespace kvasir::chat
