#include "base/cpu_seats.h"

#if defined(__linux__)

#include <fcntl.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <optional>
#include <string_view>

#include "base/pause.h"

namespace kvasir {
namespace {

using Clock = std::chrono::steady_clock;

// A few turns of a neighbour: long enough that being moved costs nothing, short enough that a CPU that falls
// free is soon used.
constexpr std::chrono::milliseconds kStay{30};
// Between two looks at how long a thread has run.
constexpr std::chrono::microseconds kLook{5};

int own_thread_id() {
  thread_local const int id = static_cast<int>(::syscall(SYS_gettid));
  return id;
}

// What a thread has run, up to now; the clock's number is the kernel's (CPUCLOCK_SCHED of one thread).
std::optional<std::chrono::nanoseconds> run_time(int thread) {
  timespec t{};
  const auto clock = static_cast<clockid_t>((~static_cast<unsigned>(thread) << 3U) | 6U);
  if (::clock_gettime(clock, &t) != 0) return {};
  return std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec);
}

bool is_running(int thread) {
  const auto before = run_time(thread);
  const auto end = Clock::now() + kLook;
  while (Clock::now() < end) pause_cpu();
  const auto after = run_time(thread);
  return !before || !after || *after - *before > kLook / 5;
}

// The CPU in whose queue a thread waits that could run; none where it sleeps or is gone (proc(5), stat: state
// is the 3rd field, processor the 39th).
std::optional<int> waits_on(int thread) {
  std::array<char, 64> path{};
  std::snprintf(path.data(), path.size(), "/proc/self/task/%d/stat", thread);
  const int fd = ::open(path.data(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return {};
  std::array<char, 1024> bytes{};
  const ssize_t size = ::read(fd, bytes.data(), bytes.size());
  ::close(fd);
  if (size <= 0) return {};
  std::string_view line(bytes.data(), static_cast<std::size_t>(size));
  const std::size_t name_end = line.rfind(") ");
  if (name_end == std::string_view::npos) return {};
  line.remove_prefix(name_end + 2);
  if (!line.starts_with('R')) return {};
  for (int field = 3; field < 39; ++field) {
    const std::size_t space = line.find(' ');
    if (space == std::string_view::npos) return {};
    line.remove_prefix(space + 1);
  }
  int cpu = 0;
  if (std::from_chars(line.data(), line.data() + line.size(), cpu).ec != std::errc{}) return {};
  return cpu;
}

}  // namespace

struct alignas(64) CpuSeats::Seat {
  std::atomic<int> thread{0};  // 0: no one yet
  std::atomic<int> cpu{-1};    // where it last began a job, or was put
  std::atomic<bool> held{false};
  // While held, and only by who holds moving_:
  Clock::time_point since;
  cpu_set_t allowed;  // where it may run else
};

CpuSeats::CpuSeats(std::size_t threads) : count_(threads), seats_(std::make_unique<Seat[]>(threads)) {
  cpu_set_t allowed;
  helps_ = ::sched_getaffinity(0, sizeof(allowed), &allowed) == 0 &&
           count_ <= static_cast<std::size_t>(CPU_COUNT(&allowed));
}

CpuSeats::~CpuSeats() {
  if (seats_[0].held) free(seats_[0]);  // the caller's thread lives on
}

void CpuSeats::take(std::size_t at) {
  Seat& seat = seats_[at];
  const int self = own_thread_id();
  const bool changed = seat.thread.load(std::memory_order_relaxed) != self;
  seat.cpu.store(::sched_getcpu(), std::memory_order_relaxed);
  const bool held = seat.held.load(std::memory_order_relaxed);
  const bool gave = at == 0 && gave_.load(std::memory_order_relaxed) >= 0;
  if (!changed && !held && !gave) return;
  if (moving_.test_and_set(std::memory_order_acquire)) return;
  if (seat.held && (changed || Clock::now() - seat.since > kStay)) free(seat);
  seat.thread.store(self, std::memory_order_relaxed);
  if (gave) {
    move_elsewhere(seats_[static_cast<std::size_t>(gave_)]);
    gave_ = -1;
  }
  moving_.clear(std::memory_order_release);
}

bool CpuSeats::help(std::size_t waiter, std::size_t awaited) {
  Seat& seat = seats_[awaited];
  const int thread = seat.thread.load(std::memory_order_relaxed);
  if (!helps_ || thread == 0 || is_running(thread)) return false;
  const std::optional<int> cpu = waits_on(thread);
  if (!cpu || moving_.test_and_set(std::memory_order_acquire)) return false;
  const int here = ::sched_getcpu();
  const bool given = *cpu == here || hold(seat, here);
  if (given && awaited == 0) gave_ = static_cast<int>(waiter);
  moving_.clear(std::memory_order_release);
  return given;
}

void CpuSeats::leave_to_caller(std::size_t worker) {
  if (moving_.test_and_set(std::memory_order_acquire)) return;
  move_elsewhere(seats_[worker]);
  moving_.clear(std::memory_order_release);
}

bool CpuSeats::hold(Seat& seat, int cpu) {
  const int thread = seat.thread.load(std::memory_order_relaxed);
  if (!seat.held && ::sched_getaffinity(thread, sizeof(seat.allowed), &seat.allowed) != 0) return false;
  if (!CPU_ISSET(static_cast<std::size_t>(cpu), &seat.allowed)) return false;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(static_cast<std::size_t>(cpu), &one);
  if (::sched_setaffinity(thread, sizeof(one), &one) != 0) return false;
  seat.since = Clock::now();
  seat.cpu = cpu;
  seat.held = true;
  return true;
}

void CpuSeats::free(Seat& seat) {
  ::sched_setaffinity(seat.thread, sizeof(seat.allowed), &seat.allowed);
  seat.held = false;
}

// To the CPU, of those where it may run and but for the caller's own, that has the fewest of the pool's
// threads.
void CpuSeats::move_elsewhere(Seat& seat) {
  cpu_set_t allowed;
  if (seat.held)
    allowed = seat.allowed;
  else if (::sched_getaffinity(seat.thread, sizeof(allowed), &allowed) != 0)
    return;
  const int here = ::sched_getcpu();
  int best = -1;
  std::size_t best_threads = count_;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (cpu == here || !CPU_ISSET(static_cast<std::size_t>(cpu), &allowed)) continue;
    std::size_t threads = 0;
    for (std::size_t i = 0; i < count_; ++i) threads += &seats_[i] != &seat && seats_[i].cpu == cpu ? 1 : 0;
    if (threads >= best_threads) continue;
    best = cpu;
    best_threads = threads;
  }
  if (best >= 0) hold(seat, best);
}

}  // namespace kvasir

#else

namespace kvasir {

struct CpuSeats::Seat {};
CpuSeats::CpuSeats(std::size_t threads) : count_(threads) {}
CpuSeats::~CpuSeats() = default;
void CpuSeats::take(std::size_t) {}
bool CpuSeats::help(std::size_t, std::size_t) {
  return false;
}
void CpuSeats::leave_to_caller(std::size_t) {}

}  // namespace kvasir

#endif
