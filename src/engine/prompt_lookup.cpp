#include "engine/prompt_lookup.h"

#include <algorithm>

namespace kvasir::engine {
namespace {

// Of a text that repeats without end, places are looked at until one agrees in full.
constexpr std::size_t kPlaces = 256;

}  // namespace

std::vector<TokenId> PromptLookup::guess(std::span<const TokenId> tokens, std::uint32_t most) const {
  const std::size_t size = tokens.size();
  if (most == 0 || size <= agreement_) return {};
  const TokenId last = tokens[size - 1];
  std::size_t best_next = 0;
  std::size_t best = agreement_ - 1;
  std::size_t places = 0;
  for (std::size_t next = size - 1; next > 0 && best < kMostAgreement && places < kPlaces; --next) {
    if (tokens[next - 1] != last) continue;
    std::size_t same = 1;
    while (same < kMostAgreement && same < next && tokens[next - 1 - same] == tokens[size - 1 - same]) ++same;
    if (same >= kLeastAgreement) ++places;
    if (same <= best) continue;
    best = same;
    best_next = next;
  }
  if (best_next == 0) return {};
  // A long agreement is worth a long guess. One that reaches the end goes on with itself: it has a period.
  const std::size_t length = std::min<std::size_t>(most, 2 * best);
  std::vector<TokenId> guessed;
  guessed.reserve(length);
  for (std::size_t i = 0; i < length; ++i) {
    const std::size_t at = best_next + i;
    guessed.push_back(at < size ? tokens[at] : guessed[at - size]);
  }
  return guessed;
}

void PromptLookup::judge(std::uint32_t guessed, std::uint32_t kept) {
  if (guessed == 0) return;
  if (kept == 0) {
    agreement_ = std::min(2 * agreement_, kMostAgreement);
  } else if (2 * kept >= guessed) {
    agreement_ = std::max(agreement_ / 2, kLeastAgreement);
  }
}

}  // namespace kvasir::engine
