#include "models/runs.h"

#include <algorithm>

namespace kvasir::models {

Runs::Runs(std::size_t threads) : threads_(threads), runs_(std::make_unique<Run[]>(threads)) {}

void Runs::start(std::size_t count, std::size_t piece) {
  piece_ = piece;
  const std::size_t pieces = (count + piece - 1) / piece;
  const auto begin_of = [&](std::size_t run) { return std::min(count, pieces * run / threads_ * piece); };
  for (std::size_t i = 0; i < threads_; ++i) {
    runs_[i].next.store(begin_of(i), std::memory_order_relaxed);
    runs_[i].end = begin_of(i + 1);
  }
}

bool Runs::take(std::size_t thread, std::size_t& begin, std::size_t& end) {
  for (std::size_t i = 0; i < threads_; ++i) {
    Run& run = runs_[(thread + i) % threads_];
    if (run.next.load(std::memory_order_relaxed) >= run.end) continue;
    begin = run.next.fetch_add(piece_, std::memory_order_relaxed);
    if (begin >= run.end) continue;
    end = std::min(begin + piece_, run.end);
    return true;
  }
  return false;
}

}  // namespace kvasir::models
