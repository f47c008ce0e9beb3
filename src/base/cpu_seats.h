#pragma once
// On which CPUs the threads of a pool run, beside other programs. The system lets a thread wait for
// milliseconds behind another program's while the thread that needs its result spins on a CPU of its own; it
// may also leave two threads of the pool on one CPU. A waiter that finds so gives its CPU to the thread that
// it waits for, and a worker, never the pool's caller, is moved to the other CPU, where it takes turns with
// the neighbour. Threads stay where they were put for some milliseconds; then the system is free again.
// Nothing of this changes what is computed.
//
// Only Linux is known; elsewhere no thread is ever found stuck.

#include <atomic>
#include <cstddef>
#include <memory>

namespace kvasir {

// Seat 0 is the caller's, the others are the workers'.
class CpuSeats {
 public:
  explicit CpuSeats(std::size_t threads);
  ~CpuSeats();
  CpuSeats(const CpuSeats&) = delete;
  CpuSeats& operator=(const CpuSeats&) = delete;

  // By the seat's thread, before each job: who it is now. Ends a stay that has lasted. Nanoseconds.
  void take(std::size_t seat);

  // By the thread of `waiter`, which has nothing to do before `awaited` goes on: true where `awaited` could
  // run and does not. It then has this CPU as soon as the waiter sleeps. Some 10 us.
  bool help(std::size_t waiter, std::size_t awaited);

  // By the caller, when what it slept for after help(0, worker) is done.
  void leave_to_caller(std::size_t worker);

 private:
  struct Seat;

  bool hold(Seat& seat, int cpu);
  void free(Seat& seat);
  void move_elsewhere(Seat& seat);

  const std::size_t count_;
  bool helps_ = false;  // where the threads have a CPU each
  std::unique_ptr<Seat[]> seats_;
  std::atomic_flag moving_;    // held while threads are moved; who finds it held does without
  std::atomic<int> gave_{-1};  // the worker whose CPU the caller was given, until the caller goes on
};

}  // namespace kvasir
