// Pieces of a job in runs: each handed out once, a thread's own run first and in order.

#include "models/runs.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace kvasir::models {
namespace {

TEST(Runs, AThreadWalksThroughItsOwnThenTheOthers) {
  Runs runs(2);
  runs.start(10, 2);
  const auto pieces_of = [&](std::size_t thread) {
    std::vector<std::size_t> begins;
    std::size_t begin = 0;
    std::size_t end = 0;
    while (runs.take(thread, begin, end)) begins.push_back(begin);
    return begins;
  };
  EXPECT_EQ(pieces_of(1), (std::vector<std::size_t>{4, 6, 8, 0, 2}));
  EXPECT_TRUE(pieces_of(0).empty());
}

TEST(Runs, ThreadsAtOnceTakeEveryIndexOnce) {
  for (const std::size_t threads : {1U, 3U, 4U}) {
    for (const std::size_t count : {1U, 2U, 7U, 1000U}) {
      for (const std::size_t piece : {1U, 2U, 5U}) {
        Runs runs(threads);
        std::vector<std::atomic<int>> taken(count);
        runs.start(count, piece);
        std::vector<std::thread> team;
        for (std::size_t t = 0; t < threads; ++t) {
          team.emplace_back([&, t] {
            std::size_t begin = 0;
            std::size_t end = 0;
            while (runs.take(t, begin, end)) {
              EXPECT_LE(end - begin, piece);
              for (std::size_t i = begin; i < end; ++i) ++taken[i];
            }
          });
        }
        for (std::thread& t : team) t.join();
        for (std::size_t i = 0; i < count; ++i)
          ASSERT_EQ(taken[i], 1) << i << " of " << count << " in pieces of " << piece << ", " << threads;
      }
    }
  }
}

}  // namespace
}  // namespace kvasir::models
