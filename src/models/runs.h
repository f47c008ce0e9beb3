#pragma once
// Which pieces of a job each thread takes: one run of them after the other, so that what it asks memory for
// ahead of itself it needs itself.

#include <atomic>
#include <cstddef>
#include <memory>

namespace kvasir::models {

// Cuts [0, count) into a run for each thread. A thread walks through its own and, when that is done, helps
// with the others', so that all end within a piece of each other.
class Runs {
 public:
  explicit Runs(std::size_t threads);

  // Before a job, by the thread that starts it. Pieces are of `piece`, and runs of whole ones.
  void start(std::size_t count, std::size_t piece);
  // The next piece for a thread, [begin, end); false when none is left. Any thread, during the job.
  bool take(std::size_t thread, std::size_t& begin, std::size_t& end);

 private:
  // On a cache line of its own.
  struct alignas(64) Run {
    std::atomic<std::size_t> next{0};
    std::size_t end = 0;
  };

  std::size_t threads_;
  std::size_t piece_ = 1;
  std::unique_ptr<Run[]> runs_;
};

}  // namespace kvasir::models
