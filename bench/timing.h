#pragma once
// How the kernels' benchmarks take time: of the thread's own CPU, so that what else the machine does shows
// only through caches; the fastest of some rounds, since what disturbs a round only makes it slower.

#include <algorithm>
#include <ctime>

namespace kvasir {

inline double thread_seconds() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

template <class Work>
double best_seconds(const Work& work, int rounds) {
  double best = 1e9;
  for (int i = 0; i < rounds; ++i) {
    const double begin = thread_seconds();
    work();
    best = std::min(best, thread_seconds() - begin);
  }
  return best;
}

}  // namespace kvasir
