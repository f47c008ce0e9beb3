#include "engine/dry.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace kvasir::engine {
namespace {

// Longer runs count as this long, as in the author's own implementation: a penalty that no logit survives.
constexpr std::uint32_t kLongestRun = 50;
// Finite, so that a row of which nothing else may be sampled can still be.
constexpr double kLargestPenalty = 1e30;

// What the history's end says about breaks.
struct Tail {
  std::uint32_t unbroken = 0;  // tokens at the end that lie behind the last break, at most kLongestRun
  std::string text;            // the last bytes: with a token's behind it, whatever it may complete is in it
};

Tail tail_of(std::span<const TokenId> history, const std::vector<std::string>& breakers,
             const TokenBytes& bytes) {
  std::size_t longest = 1;
  for (const std::string& breaker : breakers) longest = std::max(longest, breaker.size());
  // Backwards: the tokens that a run may hold, and before them what a breaker may begin in.
  std::size_t first = history.size();
  std::size_t before = 0;
  while (first > 0 && (history.size() - first < kLongestRun || before + 1 < longest)) {
    --first;
    if (history.size() - first > kLongestRun) before += bytes(history[first]).size();
  }
  std::string text;
  std::vector<std::size_t> begins;
  for (const TokenId token : history.subspan(first)) {
    begins.push_back(text.size());
    text += bytes(token);
  }
  std::size_t broken_until = 0;  // the end of the break that ends last
  for (const std::string& breaker : breakers) {
    const std::size_t at = text.rfind(breaker);
    if (at != std::string::npos) broken_until = std::max(broken_until, at + breaker.size());
  }
  const auto behind = begins.end() - std::ranges::lower_bound(begins, broken_until);
  Tail tail;
  tail.unbroken = std::min(static_cast<std::uint32_t>(behind), kLongestRun);
  tail.text = text.substr(text.size() - std::min(text.size(), longest - 1));
  return tail;
}

bool breaks(const Tail& tail, std::string_view next, const std::vector<std::string>& breakers) {
  const std::string text = tail.text + std::string(next);
  return std::ranges::any_of(breakers, [&](const std::string& breaker) {
    const std::size_t at = text.rfind(breaker);
    return at != std::string::npos && at + breaker.size() > tail.text.size();
  });
}

}  // namespace

void apply_dry(const DryParams& params, std::span<const TokenId> history, const TokenBytes& bytes,
               std::span<float> row, std::span<std::uint32_t> lengths) {
  if (params.penalty_last_n >= 0) {
    history = history.last(std::min(history.size(), static_cast<std::size_t>(params.penalty_last_n)));
  }
  if (history.size() < 2) return;
  const Tail tail = tail_of(history, params.sequence_breakers, bytes);
  if (tail.unbroken == 0) return;
  const std::size_t end = history.size() - 1;
  const TokenId last = history[end];
  for (std::size_t i = 0; i < end; ++i) {
    if (history[i] != last) continue;
    std::uint32_t length = 1;
    while (length < tail.unbroken && length <= i && history[i - length] == history[end - length]) ++length;
    std::uint32_t& longest = lengths[static_cast<std::size_t>(history[i + 1])];
    longest = std::max(longest, length);
  }
  for (std::size_t i = 0; i < end; ++i) {
    if (history[i] != last) continue;
    const TokenId next = history[i + 1];
    const std::uint32_t length = std::exchange(lengths[static_cast<std::size_t>(next)], 0);
    if (length == 0 || length < params.allowed_length) continue;
    if (breaks(tail, bytes(next), params.sequence_breakers)) continue;
    const double penalty =
        params.multiplier * std::pow(double{params.base}, double(length) - double(params.allowed_length));
    row[static_cast<std::size_t>(next)] -= static_cast<float>(std::min(penalty, kLargestPenalty));
  }
}

}  // namespace kvasir::engine
