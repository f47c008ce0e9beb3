#include "base/cpu_seats.h"

#include <gtest/gtest.h>

#if defined(__linux__)

#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <thread>
#include <vector>

#include "base/thread_pool.h"

namespace kvasir {
namespace {

using namespace std::chrono_literals;

// A process that computes without pause, as a compiler would.
class BusyNeighbour {
 public:
  BusyNeighbour() : child_(::fork()) {
    while (child_ == 0) asm volatile("");
  }
  ~BusyNeighbour() {
    ::kill(child_, SIGKILL);
    ::waitpid(child_, nullptr, 0);
  }
  BusyNeighbour(const BusyNeighbour&) = delete;
  BusyNeighbour& operator=(const BusyNeighbour&) = delete;

 private:
  pid_t child_;
};

cpu_set_t own_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  EXPECT_EQ(::sched_getaffinity(0, sizeof(set), &set), 0);
  return set;
}

// A thread in seat 1 of `seats`, which does `work` until it is told to end.
template <class Work>
class Seated {
 public:
  Seated(CpuSeats& seats, Work work)
      : thread_([this, &seats, work] {
          seats.take(1);
          ready_ = true;
          while (!end_) work();
          seats.take(1);
          last_ = own_cpus();
        }) {
    while (!ready_) std::this_thread::yield();
  }
  ~Seated() { end(); }
  Seated(const Seated&) = delete;
  Seated& operator=(const Seated&) = delete;

  // Where it may run when it has taken its seat for the last time.
  cpu_set_t end() {
    end_ = true;
    if (thread_.joinable()) thread_.join();
    return last_;
  }

 private:
  std::atomic<bool> ready_{false};
  std::atomic<bool> end_{false};
  cpu_set_t last_{};
  std::thread thread_;
};

TEST(CpuSeats, DoesNotHelpAThreadThatSleepsOrASeatThatIsFree) {
  CpuSeats seats(2);
  EXPECT_FALSE(seats.help(0, 1));
  Seated sleeper(seats, [] { std::this_thread::sleep_for(100ms); });
  // It may not have come to sleep yet.
  bool helped = true;
  for (int i = 0; i < 100 && helped; ++i) {
    std::this_thread::sleep_for(1ms);
    helped = seats.help(0, 1);
  }
  EXPECT_FALSE(helped);
}

TEST(CpuSeats, GivesItsCpuToAThreadThatOthersKeepFromRunning) {
  const cpu_set_t before = own_cpus();
  if (CPU_COUNT(&before) < 2) GTEST_SKIP() << "needs two CPUs";
  CpuSeats seats(2);
  seats.take(0);
  bool helped = false;
  cpu_set_t after;
  {
    Seated starved(seats, [] {
      const sched_param none{};
      ::sched_setscheduler(0, SCHED_IDLE, &none);  // runs when no one else wants to
    });
    {
      const std::vector<BusyNeighbour> neighbours(static_cast<std::size_t>(CPU_COUNT(&before)));
      const auto end = std::chrono::steady_clock::now() + 20s;
      while (!helped && std::chrono::steady_clock::now() < end) helped = seats.help(0, 1);
    }
    std::this_thread::sleep_for(50ms);  // longer than a thread is held
    after = starved.end();
  }
  EXPECT_TRUE(helped);
  EXPECT_TRUE(CPU_EQUAL(&after, &before)) << "held for ever";
}

TEST(CpuSeats, APoolBesideANeighbourDoesEverythingOnceAndLeavesItsCallerFree) {
  const cpu_set_t before = own_cpus();
  {
    const BusyNeighbour neighbour;
    ThreadPool pool(default_thread_count());
    std::vector<std::atomic<int>> visits(8);
    const auto end = std::chrono::steady_clock::now() + 150ms;
    int jobs = 0;
    for (; std::chrono::steady_clock::now() < end; ++jobs) {
      pool.parallel_for(visits.size(), 1, [&](std::size_t begin, std::size_t, std::size_t) {
        for (int i = 0; i < 2000; ++i) asm volatile("");
        ++visits[begin];
      });
    }
    for (const auto& v : visits) EXPECT_EQ(v, jobs);
  }
  const cpu_set_t after = own_cpus();
  EXPECT_TRUE(CPU_EQUAL(&after, &before));
}

}  // namespace
}  // namespace kvasir

#endif
