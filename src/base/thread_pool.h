#pragma once
// The process's compute threads. A parallel_for hands out chunks dynamically, so that a thread that the
// system has descheduled costs its share and little more; workers spin shortly between calls, then sleep.

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

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

  // Calls f(begin, end, worker) over [0, count) in chunks of at most `chunk`, on all threads, and returns
  // when all is done. worker < size() names the executing thread (for per-thread scratch). Called by one
  // thread at a time; f must not throw and must not call parallel_for.
  void parallel_for(std::size_t count, std::size_t chunk, RangeFunction f);

 private:
  void run_worker(std::size_t worker);
  void take_chunks(std::size_t worker);
  bool wait_for_job(std::uint64_t seen);

  std::vector<std::thread> workers_;
  const RangeFunction* job_ = nullptr;
  std::size_t count_ = 0;
  std::size_t chunk_ = 1;
  std::atomic<std::size_t> next_{0};
  std::atomic<std::uint64_t> generation_{0};  // bumped once per job
  std::atomic<std::size_t> active_{0};        // workers that have not finished the current job
  std::atomic<bool> stopping_{false};
  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable done_;
  std::atomic<std::size_t> sleepers_{0};
  std::atomic<bool> caller_sleeps_{false};
};

// Threads that make sense on this machine: the CPUs that this process may run on.
std::size_t default_thread_count();

}  // namespace kvasir
