#include "base/confined_process.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "base/process.h"

extern char** environ;

namespace kvasir {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kGlance{200};  // between looks at `cancelled`

Error system_error(const std::string& what, int code, const std::string& subject) {
  return make_error(ErrorCode::kIo, what + ": " + std::strerror(code), subject);
}

// A pair of connected sockets: one for both ways, and a write to a program that has ended is an error, not a
// signal.
class Line {
 public:
  Status open() {
    if (::socketpair(AF_UNIX, SOCK_STREAM, 0, ends_.data()) != 0)
      return system_error("no socket for another program", errno, "");
    for (const int end : ends_) ::fcntl(end, F_SETFD, FD_CLOEXEC);
    ::fcntl(ends_[0], F_SETFL, O_NONBLOCK);
#if defined(SO_NOSIGPIPE)
    const int on = 1;
    ::setsockopt(ends_[0], SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on);
#endif
    return {};
  }
  Line() = default;
  ~Line() {
    for (const int end : ends_) {
      if (end >= 0) ::close(end);
    }
  }
  Line(const Line&) = delete;
  Line& operator=(const Line&) = delete;

  int ours() const { return ends_[0]; }
  int theirs() const { return ends_[1]; }
  void close_theirs() {
    ::close(ends_[1]);
    ends_[1] = -1;
  }

 private:
  std::array<int, 2> ends_{-1, -1};
};

Result<ProcessId> spawn(const std::vector<std::string>& argv, int line) {
  // Looked for first: where vfork is a fork (under an emulator), the child cannot tell that it was not there.
  if (!find_program(argv.front()))
    return system_error(argv.front() + " cannot be started", ENOENT, argv.front());
  std::vector<char*> words;
  words.reserve(argv.size() + 1);
  for (const std::string& a : argv) words.push_back(const_cast<char*>(a.c_str()));
  words.push_back(nullptr);

  posix_spawn_file_actions_t files{};
  posix_spawnattr_t attributes{};
  posix_spawn_file_actions_init(&files);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_adddup2(&files, line, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&files, line, STDOUT_FILENO);
  posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
#if defined(__APPLE__)
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_CLOEXEC_DEFAULT);
#elif defined(__GLIBC__) && __GLIBC_PREREQ(2, 34)
  posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
#endif
  pid_t id = 0;
  const int failed = ::posix_spawn(&id, argv.front().c_str(), &files, &attributes, words.data(), environ);
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&attributes);
  if (failed != 0) return system_error(argv.front() + " cannot be started", failed, argv.front());
  return id;
}

class Talk {
 public:
  Talk(int line, std::string_view input, const Confinement& limits)
      : line_(line), input_(input), limits_(limits), deadline_(Clock::now() + limits.time_max) {}

  // Until the program has closed its side, or a limit ends the talk.
  ConfinedResult::End run(std::string& output) {
    using End = ConfinedResult::End;
    for (;;) {
      if (limits_.cancelled != nullptr && *limits_.cancelled) return End::kCancelled;
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline_ - Clock::now());
      if (left.count() <= 0) return End::kTimedOut;
      pollfd watched{line_, static_cast<short>(POLLIN | (told_all_ ? 0 : POLLOUT)), 0};
      if (::poll(&watched, 1, static_cast<int>(std::min(left, kGlance).count())) <= 0) continue;
      if ((watched.revents & POLLOUT) != 0) tell();
      if ((watched.revents & (POLLIN | POLLHUP | POLLERR)) != 0 && !listen(output)) return End::kExited;
      if (output.size() > limits_.output_bytes_max) return End::kTooMuchOutput;
    }
  }

 private:
  void tell() {
#if defined(MSG_NOSIGNAL)
    constexpr int kFlags = MSG_NOSIGNAL;
#else
    constexpr int kFlags = 0;
#endif
    if (!input_.empty()) {
      const auto sent = ::send(line_, input_.data(), input_.size(), kFlags);
      if (sent < 0 && (errno == EINTR || errno == EAGAIN)) return;
      // One that has stopped reading may still have said why.
      input_.remove_prefix(sent < 0 ? input_.size() : static_cast<std::size_t>(sent));
    }
    if (!input_.empty()) return;
    ::shutdown(line_, SHUT_WR);
    told_all_ = true;
  }

  // False at the end.
  bool listen(std::string& output) const {
    std::array<char, 65536> buffer{};
    const auto n = ::read(line_, buffer.data(), buffer.size());
    if (n < 0) return errno == EINTR || errno == EAGAIN;
    output.append(buffer.data(), static_cast<std::size_t>(n));
    return n > 0;
  }

  int line_;
  std::string_view input_;
  const Confinement& limits_;
  Clock::time_point deadline_;
  bool told_all_ = false;
};

}  // namespace

Result<ConfinedResult> run_confined(const std::vector<std::string>& argv, std::string_view input,
                                    const Confinement& confinement) {
  Line line;
  KVASIR_RETURN_IF_ERROR(line.open());
  KVASIR_ASSIGN_OR_RETURN(const ProcessId id, spawn(argv, line.theirs()));
  line.close_theirs();
  ConfinedResult result;
  result.end = Talk(line.ours(), input, confinement).run(result.output);
  // One that has said everything has ended or is about to; whoever closed his side and goes on does not get
  // to keep this thread.
  constexpr int kSignalled = 128;
  int status = 0;
  const auto patience = Clock::now() + std::chrono::seconds(1);
  pid_t ended = 0;
  while (result.end == ConfinedResult::End::kExited && ended == 0 && Clock::now() < patience) {
    ended = ::waitpid(id, &status, WNOHANG);
    if (ended == 0) ::usleep(1000);
  }
  if (ended != id) {
    ::kill(id, SIGKILL);
    while (::waitpid(id, &status, 0) < 0 && errno == EINTR) {
    }
  }
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : kSignalled + WTERMSIG(status);
  return result;
}

Result<std::string> own_image() {
#if defined(__linux__)
  // The spawned child is this very program until it becomes another.
  return std::string("/proc/self/exe");
#else
  return own_program();
#endif
}

void limit_processor_time(std::chrono::seconds time_max) {
  const auto seconds = static_cast<rlim_t>(time_max.count());
  const rlimit time{seconds, seconds + 1};
  ::setrlimit(RLIMIT_CPU, &time);
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
}

}  // namespace kvasir
