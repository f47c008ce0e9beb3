#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <chrono>
#include <numeric>

namespace kvasir {
namespace {

TEST(ThreadPool, VisitsEveryIndexOnce) {
  for (const std::size_t threads : {1U, 2U, 5U}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.size(), threads);
    for (const std::size_t count : {0U, 1U, 7U, 1000U}) {
      std::vector<std::atomic<int>> visits(count);
      pool.parallel_for(count, 3, [&](std::size_t begin, std::size_t end, std::size_t worker) {
        EXPECT_LT(worker, threads);
        for (std::size_t i = begin; i < end; ++i) ++visits[i];
      });
      for (const auto& v : visits) EXPECT_EQ(v, 1);
    }
  }
}

TEST(ThreadPool, RunsManyShortJobsInARow) {
  ThreadPool pool(3);
  std::atomic<std::size_t> sum{0};
  for (int job = 0; job < 20000; ++job) {
    pool.parallel_for(8, 1, [&](std::size_t begin, std::size_t end, std::size_t) { sum += end - begin; });
  }
  EXPECT_EQ(sum, 160000U);
}

TEST(ThreadPool, WakesAfterSleeping) {
  ThreadPool pool(2);
  std::atomic<int> done{0};
  for (int job = 0; job < 5; ++job) {
    std::this_thread::sleep_for(std::chrono::milliseconds(3));  // longer than workers spin
    pool.parallel_for(2, 1, [&](std::size_t, std::size_t, std::size_t) {
      ++done;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));  // longer than the caller spins
    });
  }
  EXPECT_EQ(done, 10);
}

}  // namespace
}  // namespace kvasir
