#include "engine/pace.h"

#include <algorithm>

namespace kvasir::engine {
namespace {

// A step that reads is meant to take no longer, however large its chunk might be.
constexpr double kLongestSeconds = 0.15;
// Smaller chunks cost a decoding step's reading of all weights for a handful of tokens.
constexpr std::uint32_t kSmallestChunk = 16;
constexpr double kNewest = 0.25;  // the weight of what was seen last

double blend(double before, double now) {
  return before == 0 ? now : before + kNewest * (now - before);
}

}  // namespace

void Pace::decoded(std::size_t answers, double seconds) {
  decode_seconds_ = answers == answers_ ? blend(decode_seconds_, seconds) : seconds;
  answers_ = answers;
  owe(seconds);
}

void Pace::read(std::uint32_t tokens, double seconds) {
  owe(seconds);
  if (tokens > 0) token_seconds_ = blend(token_seconds_, std::max(0.0, seconds - decode_seconds_) / tokens);
}

// What was spared counts for one step, not for a burst of them.
void Pace::owe(double seconds) {
  const double allowed = slowdown_ * decode_seconds_;
  debt_seconds_ = std::max(decode_seconds_ - allowed, debt_seconds_ + seconds - allowed);
}

// One step without a prompt shows what a step takes with more answers or fewer.
bool Pace::may_read(std::size_t answers) const {
  if (slowdown_ == 0) return true;
  return debt_seconds_ <= 0 && answers == answers_;
}

std::uint32_t Pace::chunk(std::uint32_t most) const {
  if (slowdown_ == 0 || token_seconds_ == 0) return most;
  const double room = std::max(kLongestSeconds, slowdown_ * decode_seconds_) - decode_seconds_;
  const double fits = std::min(room / token_seconds_, static_cast<double>(most));
  return std::min(most, std::max(kSmallestChunk, static_cast<std::uint32_t>(fits)));
}

}  // namespace kvasir::engine
