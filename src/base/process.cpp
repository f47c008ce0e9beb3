#include "base/process.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#if defined(__APPLE__)
#include <mach-o/dyld.h>

#include <cstdint>
#endif

extern char** environ;

namespace kvasir {
namespace {

Error system_error(const std::string& what, int code, const std::string& subject) {
  return make_error(ErrorCode::kIo, what + ": " + std::strerror(code), subject);
}

std::vector<char*> pointers(const std::vector<std::string>& argv) {
  std::vector<char*> list;
  list.reserve(argv.size() + 1);
  for (const std::string& a : argv) list.push_back(const_cast<char*>(a.c_str()));
  list.push_back(nullptr);
  return list;
}

bool executable_file(const std::string& path) {
  struct stat info{};
  return ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode) && ::access(path.c_str(), X_OK) == 0;
}

// posix_spawn's settings, given back at the end.
class SpawnSettings {
 public:
  SpawnSettings() {
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attributes);
  }
  ~SpawnSettings() {
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
  }
  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;

  Result<ProcessId> spawn(const std::vector<std::string>& argv) {
    // Looked for first: where vfork is a fork (under an emulator), the child cannot tell that it was not
    // there.
    if (!find_program(argv.front())) {
      return system_error(argv.front() + " cannot be started", ENOENT, argv.front());
    }
    pid_t id = 0;
    const int failed =
        ::posix_spawnp(&id, argv.front().c_str(), &files, &attributes, pointers(argv).data(), environ);
    if (failed != 0) return system_error(argv.front() + " cannot be started", failed, argv.front());
    return id;
  }

  posix_spawn_file_actions_t files{};
  posix_spawnattr_t attributes{};
};

int exit_code_of(int status) {
  constexpr int kSignalled = 128;  // as shells report it
  return WIFEXITED(status) ? WEXITSTATUS(status) : kSignalled + WTERMSIG(status);
}

}  // namespace

std::optional<std::string> environment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  if (value == nullptr || *value == '\0') return std::nullopt;
  return std::string(value);
}

std::string home_folder() {
  return environment("HOME").value_or(".");
}

ProcessId own_process_id() {
  return ::getpid();
}

unsigned own_user_id() {
  return ::getuid();
}

Result<std::string> own_program() {
  std::array<char, 4096> path{};
#if defined(__APPLE__)
  auto size = static_cast<std::uint32_t>(path.size());
  if (_NSGetExecutablePath(path.data(), &size) == 0) return std::string(path.data());
  return make_error(ErrorCode::kIo, "the system does not say where this program is");
#else
  const auto size = ::readlink("/proc/self/exe", path.data(), path.size());
  if (size > 0) return std::string(path.data(), static_cast<std::size_t>(size));
  return system_error("the system does not say where this program is", errno, "/proc/self/exe");
#endif
}

std::optional<std::string> find_program(const std::string& name) {
  if (name.find('/') != std::string::npos) {
    return executable_file(name) ? std::optional(name) : std::nullopt;
  }
  const std::string path = environment("PATH").value_or("/usr/local/bin:/usr/bin:/bin");
  for (std::size_t start = 0; start <= path.size();) {
    const std::size_t end = std::min(path.find(':', start), path.size());
    std::string candidate = path.substr(start, end - start);
    candidate += (candidate.empty() ? "./" : "/") + name;
    if (executable_file(candidate)) return candidate;
    start = end + 1;
  }
  return std::nullopt;
}

Result<ProcessId> start_in_background(const std::vector<std::string>& argv, const std::string& log_path) {
  SpawnSettings settings;
  posix_spawn_file_actions_addopen(&settings.files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&settings.files, STDOUT_FILENO, log_path.c_str(),
                                   O_WRONLY | O_CREAT | O_APPEND, S_IRUSR | S_IWUSR);
  posix_spawn_file_actions_adddup2(&settings.files, STDOUT_FILENO, STDERR_FILENO);
  posix_spawnattr_setflags(&settings.attributes, POSIX_SPAWN_SETSID);
  return settings.spawn(argv);
}

bool process_runs(ProcessId id) {
  if (id <= 0 || ::waitpid(id, nullptr, WNOHANG) == id) return false;
  return ::kill(id, 0) == 0 || errno == EPERM;
}

bool ask_to_end(ProcessId id) {
  return id > 0 && ::kill(id, SIGTERM) == 0;
}

Result<ProgramResult> run_program(const std::vector<std::string>& argv) {
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) return system_error("no pipe for " + argv.front(), errno, argv.front());
  SpawnSettings settings;
  posix_spawn_file_actions_addopen(&settings.files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&settings.files, ends[1], STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&settings.files, ends[1], STDERR_FILENO);
  posix_spawn_file_actions_addclose(&settings.files, ends[0]);
  posix_spawn_file_actions_addclose(&settings.files, ends[1]);
  const auto id = settings.spawn(argv);
  ::close(ends[1]);
  if (!id.ok()) {
    ::close(ends[0]);
    return id.error();
  }
  ProgramResult result;
  std::array<char, 4096> buffer{};
  for (;;) {
    const auto n = ::read(ends[0], buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    result.output.append(buffer.data(), static_cast<std::size_t>(n));
  }
  ::close(ends[0]);
  int status = 0;
  while (::waitpid(*id, &status, 0) < 0 && errno == EINTR) {
  }
  result.exit_code = exit_code_of(status);
  return result;
}

Error become(const std::vector<std::string>& argv, const std::vector<EnvironmentChange>& changes) {
  for (const auto& [name, value] : changes) {
    if (value) {
      ::setenv(name.c_str(), value->c_str(), 1);
    } else {
      ::unsetenv(name.c_str());
    }
  }
  ::execvp(argv.front().c_str(), pointers(argv).data());
  return system_error(argv.front() + " cannot be started", errno, argv.front());
}

}  // namespace kvasir
