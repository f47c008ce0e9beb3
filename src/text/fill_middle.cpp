#include "text/fill_middle.h"

namespace kvasir::text {

std::vector<TokenId> FillMiddle::prompt(std::span<const TokenId> before,
                                        std::span<const TokenId> behind) const {
  std::vector<TokenId> tokens;
  const auto add = [&tokens](TokenId mark, std::span<const TokenId> text) {
    tokens.push_back(mark);
    tokens.insert(tokens.end(), text.begin(), text.end());
  };
  if (middle == kNoToken) {
    add(suffix, behind);
    add(prefix, before);
  } else {
    add(prefix, before);
    add(suffix, behind);
    tokens.push_back(middle);
  }
  return tokens;
}

}  // namespace kvasir::text
