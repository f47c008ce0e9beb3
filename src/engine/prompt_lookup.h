#pragma once
// Guesses what comes next in a sequence from what it holds already: code that is edited, files that are
// quoted and calls that repeat are written again token by token. The engine reads a guess together with the
// token before it and keeps as much of it as the model would have written: at every token it samples from the
// very logits that it would have had, so an answer is the same bits with guesses as without (promise 1).
//
// After "prompt lookup decoding" (A. Saxena 2023, github.com/apoorvumang/prompt-lookup-decoding), with
// the longest of the earlier places instead of the first, and with lengths that follow what came of earlier
// guesses: docs/decisions/0027-prompt-lookup.md.

#include <cstdint>
#include <span>
#include <vector>

#include "base/types.h"

namespace kvasir::engine {

class PromptLookup {
 public:
  // At most `most` tokens that may follow `tokens`; empty where its end has not been seen before, or guesses
  // from so short an agreement have gone wrong. Linear in tokens.
  std::vector<TokenId> guess(std::span<const TokenId> tokens, std::uint32_t most) const;
  // How much of the last guess was kept.
  void judge(std::uint32_t guessed, std::uint32_t kept);

 private:
  static constexpr std::uint32_t kLeastAgreement = 3;
  static constexpr std::uint32_t kMostAgreement = 32;

  std::uint32_t agreement_ = kLeastAgreement;  // tokens that must be the same before a guess is made
};

}  // namespace kvasir::engine
