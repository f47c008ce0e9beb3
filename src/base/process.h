#pragma once
// Other programs: finding, running and becoming them, and this process's own place among them.
//
// Threads: every function may be called from any thread, but become() ends them all.

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"

namespace kvasir {

using ProcessId = int;

// A variable of an environment; without a value it is taken out.
using EnvironmentChange = std::pair<std::string, std::optional<std::string>>;

// A variable of this process; nullopt where it is unset or empty.
std::optional<std::string> environment(const std::string& name);
// The user's home folder; "." where the system does not say.
std::string home_folder();

ProcessId own_process_id();
unsigned own_user_id();
// The path of the program that runs now. kIo where the system does not say.
Result<std::string> own_program();
// The first executable file of that name on PATH; a name with a slash is a path. nullopt: there is none.
std::optional<std::string> find_program(const std::string& name);

// Starts a program that outlives this one and its terminal: a session of its own, no input, both outputs
// appended to `log_path` (mode 0600). `argv[0]` is the program's path. Returns its id.
Result<ProcessId> start_in_background(const std::vector<std::string>& argv, const std::string& log_path);
// Whether a process of that id runs. A child that has ended is collected and counts as ended.
bool process_runs(ProcessId id);
// Asks a process to end (SIGTERM). False where there is none.
bool ask_to_end(ProcessId id);

struct ProgramResult {
  int exit_code = 0;   // 128 + signal where one ended it
  std::string output;  // both outputs
};
// Runs a program to its end. kIo where it cannot be started.
Result<ProgramResult> run_program(const std::vector<std::string>& argv);

// Turns this process into `argv`, found on PATH, with its environment changed. Returns only on failure.
Error become(const std::vector<std::string>& argv, const std::vector<EnvironmentChange>& changes);

}  // namespace kvasir
