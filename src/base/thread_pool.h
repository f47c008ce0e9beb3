#pragma once
// The process's compute threads. A parallel_for hands out chunks dynamically, and ends when all are done,
// whoever did them. A thread that the system deschedules while it holds a chunk is given the CPU of those who
// wait for it (cpu_seats.h). Workers spin shortly between calls, then sleep.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "base/cpu_seats.h"

namespace kvasir {

// A borrowed callable void(std::size_t begin, std::size_t end, std::size_t worker); no allocation, no copy.
class RangeFunction {
 public:
  template <class F>
  RangeFunction(const F& f)  // NOLINT: implicit by design
      : object_(&f), call_([](const void* o, std::size_t b, std::size_t e, std::size_t w) {
          (*static_cast<const F*>(o))(b, e, w);
        }) {}
  void operator()(std::size_t begin, std::size_t end, std::size_t worker) const {
    call_(object_, begin, end, worker);
  }

 private:
  const void* object_;
  void (*call_)(const void*, std::size_t, std::size_t, std::size_t);
};

class ThreadPool {
 public:
  // `threads` counts the calling thread; 1 means that everything runs in the caller.
  explicit ThreadPool(std::size_t threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  std::size_t size() const { return workers_.size() + 1; }

  // Calls f(begin, end, worker) over [0, count), fewer than 2^31, in chunks of at most `chunk`, and returns
  // when all is done. worker < size() names the executing thread (for per-thread scratch). Called by one
  // thread at a time; f must not throw and must not call parallel_for.
  void parallel_for(std::size_t count, std::size_t chunk, RangeFunction f);

 private:
  void run_worker(std::size_t worker);
  void take_chunks(std::uint32_t generation, std::size_t worker);
  void wait_for_workers();

  // On a cache line of its own.
  struct alignas(64) Holds {
    std::atomic<bool> chunk{false};
  };

  CpuSeats seats_;
  std::unique_ptr<Holds[]> holds_;  // one a thread
  std::vector<std::thread> workers_;
  // The current job. Read by those who see its generation in ticket_; f only while they hold a chunk of it.
  const RangeFunction* job_ = nullptr;
  std::atomic<std::uint32_t> count_{0};
  std::atomic<std::uint32_t> chunk_{1};
  // The generation of the job in the upper half, the next index to hand out in the lower: who comes late for
  // a job, or never, takes nothing of another and is not waited for.
  std::atomic<std::uint64_t> ticket_{0};
  // Both are slept on.
  std::atomic<std::uint32_t> generation_{0};  // bumped once per job, and to stop
  std::atomic<std::uint32_t> left_{0};        // indices of the job that are not done
  std::atomic<bool> stopping_{false};
};

// Threads that make sense on this machine: the CPUs that this process may run on.
std::size_t default_thread_count();

}  // namespace kvasir
