#pragma once
// Filling in the middle (Bavarian et al., arXiv 2207.14255): models of code know tokens between which they
// are given what stands before a gap and what behind it, and then write what is missing.

#include <span>
#include <vector>

#include "base/types.h"

namespace kvasir::text {

struct FillMiddle {
  TokenId prefix = kNoToken;
  TokenId suffix = kNoToken;
  TokenId middle = kNoToken;  // kNoToken: the model writes right behind the prefix, which then comes last
  // What a model writes where the gap's text ends, beside its end tokens: padding, the next file.
  std::vector<TokenId> ends;

  // prefix `before` suffix `behind` middle; or, without a middle, suffix `behind` prefix `before`.
  std::vector<TokenId> prompt(std::span<const TokenId> before, std::span<const TokenId> behind) const;
};

}  // namespace kvasir::text
