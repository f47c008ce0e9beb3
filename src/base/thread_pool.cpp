#include "base/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <chrono>

namespace kvasir {
namespace {

// Long enough to bridge the serial steps between two matrix products of one decoded token, short enough that
// an idle server costs nothing.
constexpr std::chrono::microseconds kSpin{60};

void pause_cpu() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Spins until done() or until kSpin has passed; true when done() held.
template <class Done>
bool spin_until(const Done& done) {
  const auto end = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < 64; ++i) {
      if (done()) return true;
      pause_cpu();
    }
  } while (std::chrono::steady_clock::now() < end);
  return done();
}

}  // namespace

ThreadPool::ThreadPool(std::size_t threads) {
  for (std::size_t i = 1; i < std::max<std::size_t>(threads, 1); ++i) {
    workers_.emplace_back([this, i] { run_worker(i); });
  }
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& w : workers_) w.join();
}

void ThreadPool::parallel_for(std::size_t count, std::size_t chunk, RangeFunction f) {
  if (count == 0) return;
  chunk = std::max<std::size_t>(chunk, 1);
  if (workers_.empty() || count <= chunk) {
    f(0, count, 0);
    return;
  }
  job_ = &f;
  count_ = count;
  chunk_ = chunk;
  next_.store(0, std::memory_order_relaxed);
  active_.store(workers_.size(), std::memory_order_relaxed);
  generation_.fetch_add(1, std::memory_order_seq_cst);  // publishes the job to spinning workers
  if (sleepers_.load(std::memory_order_seq_cst) > 0) {
    const std::lock_guard lock(mutex_);
    wake_.notify_all();
  }
  take_chunks(0);
  const auto finished = [this] { return active_.load(std::memory_order_seq_cst) == 0; };
  if (spin_until(finished)) return;
  std::unique_lock lock(mutex_);
  caller_sleeps_.store(true, std::memory_order_seq_cst);
  done_.wait(lock, finished);
  caller_sleeps_.store(false, std::memory_order_relaxed);
}

void ThreadPool::take_chunks(std::size_t worker) {
  for (;;) {
    const std::size_t begin = next_.fetch_add(chunk_, std::memory_order_relaxed);
    if (begin >= count_) return;
    (*job_)(begin, std::min(begin + chunk_, count_), worker);
  }
}

bool ThreadPool::wait_for_job(std::uint64_t seen) {
  const auto ready = [&] {
    return generation_.load(std::memory_order_acquire) != seen || stopping_.load(std::memory_order_relaxed);
  };
  if (!spin_until(ready)) {
    std::unique_lock lock(mutex_);
    sleepers_.fetch_add(1, std::memory_order_seq_cst);
    wake_.wait(lock, [&] { return generation_.load(std::memory_order_seq_cst) != seen || stopping_; });
    sleepers_.fetch_sub(1, std::memory_order_relaxed);
  }
  return generation_.load(std::memory_order_acquire) != seen;
}

void ThreadPool::run_worker(std::size_t worker) {
  std::uint64_t seen = 0;
  while (wait_for_job(seen)) {
    ++seen;
    take_chunks(worker);
    // The caller may be asleep only after it has set the flag; reading it after the decrement closes the
    // race.
    if (active_.fetch_sub(1, std::memory_order_seq_cst) == 1 &&
        caller_sleeps_.load(std::memory_order_seq_cst)) {
      const std::lock_guard lock(mutex_);
      done_.notify_one();
    }
  }
}

std::size_t default_thread_count() {
  cpu_set_t set;
  if (::sched_getaffinity(0, sizeof(set), &set) == 0)
    return static_cast<std::size_t>(std::max(1, CPU_COUNT(&set)));
  return std::max(1U, std::thread::hardware_concurrency());
}

}  // namespace kvasir
