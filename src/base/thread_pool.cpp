#include "base/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <chrono>

#include "base/check.h"
#include "base/pause.h"

namespace kvasir {
namespace {

// Long enough to bridge the serial steps between two matrix products of one decoded token, short enough that
// an idle server costs nothing.
constexpr std::chrono::microseconds kSpin{60};
// The caller looks so often after those that hold a chunk, then it sleeps.
constexpr int kRounds = 16;

constexpr std::uint32_t kClosed = ~std::uint32_t{0};
constexpr std::size_t kMostIndices = std::size_t{1} << 31U;

constexpr std::uint64_t ticket(std::uint32_t generation, std::uint32_t next) {
  return std::uint64_t{generation} << 32U | next;
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

ThreadPool::ThreadPool(std::size_t threads)
    : seats_(std::max<std::size_t>(threads, 1)),
      holds_(std::make_unique<Holds[]>(std::max<std::size_t>(threads, 1))) {
  for (std::size_t i = 1; i < std::max<std::size_t>(threads, 1); ++i) {
    workers_.emplace_back([this, i] { run_worker(i); });
  }
}

ThreadPool::~ThreadPool() {
  stopping_.store(true, std::memory_order_relaxed);
  generation_.fetch_add(1, std::memory_order_seq_cst);
  generation_.notify_all();
  for (std::thread& w : workers_) w.join();
}

void ThreadPool::parallel_for(std::size_t count, std::size_t chunk, RangeFunction f) {
  if (count == 0) return;
  chunk = std::max<std::size_t>(chunk, 1);
  if (workers_.empty() || count <= chunk) {
    f(0, count, 0);
    return;
  }
  KVASIR_CHECK(count <= kMostIndices, "a job's indices fit into half a ticket");
  seats_.take(0);
  const std::uint32_t generation = generation_.load(std::memory_order_relaxed) + 1;
  // Closed while the job changes: a late worker's ticket is of another generation from here on.
  ticket_.store(ticket(generation, kClosed), std::memory_order_seq_cst);
  job_ = &f;
  count_.store(static_cast<std::uint32_t>(count), std::memory_order_relaxed);
  chunk_.store(static_cast<std::uint32_t>(std::min(chunk, count)), std::memory_order_relaxed);
  left_.store(static_cast<std::uint32_t>(count), std::memory_order_relaxed);
  ticket_.store(ticket(generation, 0), std::memory_order_release);
  generation_.store(generation, std::memory_order_seq_cst);
  generation_.notify_all();
  take_chunks(generation, 0);
  wait_for_workers();
}

void ThreadPool::wait_for_workers() {
  const auto done = [this] { return left_.load(std::memory_order_acquire) == 0; };
  std::size_t helped = 0;
  for (int round = 0; round < kRounds && helped == 0; ++round) {
    if (spin_until(done)) return;
    for (std::size_t worker = 1; worker < size() && helped == 0; ++worker) {
      const bool holds = holds_[worker].chunk.load(std::memory_order_relaxed);
      if (holds && seats_.help(0, worker)) helped = worker;
    }
  }
  while (const std::uint32_t left = left_.load(std::memory_order_acquire))
    left_.wait(left, std::memory_order_acquire);
  if (helped != 0) seats_.leave_to_caller(helped);
}

void ThreadPool::take_chunks(std::uint32_t generation, std::size_t worker) {
  std::uint64_t seen = ticket_.load(std::memory_order_acquire);
  for (;;) {
    const auto begin = static_cast<std::uint32_t>(seen);
    const std::uint32_t count = count_.load(std::memory_order_relaxed);
    const std::uint32_t chunk = chunk_.load(std::memory_order_relaxed);
    if (seen >> 32U != generation || begin >= count) return;
    const std::uint32_t taken = std::min(chunk, count - begin);
    // Fails where another took it, and where count and chunk are a later job's.
    if (!ticket_.compare_exchange_weak(seen, seen + taken, std::memory_order_acq_rel,
                                       std::memory_order_acquire))
      continue;
    std::atomic<bool>& holds = holds_[worker].chunk;
    holds.store(true, std::memory_order_relaxed);
    (*job_)(begin, begin + taken, worker);
    holds.store(false, std::memory_order_relaxed);
    if (left_.fetch_sub(taken, std::memory_order_acq_rel) == taken) left_.notify_one();
    seen = ticket_.load(std::memory_order_acquire);
  }
}

void ThreadPool::run_worker(std::size_t worker) {
  for (std::uint32_t seen = 0;;) {
    if (!spin_until([&] { return generation_.load(std::memory_order_acquire) != seen; })) {
      seats_.help(worker, 0);
      generation_.wait(seen, std::memory_order_acquire);
    }
    seats_.take(worker);
    seen = generation_.load(std::memory_order_acquire);
    if (stopping_.load(std::memory_order_relaxed)) return;
    take_chunks(seen, worker);
  }
}

std::size_t default_thread_count() {
  cpu_set_t set;
  if (::sched_getaffinity(0, sizeof(set), &set) == 0)
    return static_cast<std::size_t>(std::max(1, CPU_COUNT(&set)));
  return std::max(1U, std::thread::hardware_concurrency());
}

}  // namespace kvasir
