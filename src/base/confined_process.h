#pragma once
// A program that is given bytes and a time, and answers with bytes: for work on input that may be hostile,
// where a hang, a crash or a hunger for memory must cost nobody but its own process.
//
// Threads: any.

#include <atomic>
#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace kvasir {

struct Confinement {
  std::chrono::milliseconds time_max{};
  std::size_t output_bytes_max = 0;              // what is beyond it is not read, and the program ended
  const std::atomic<bool>* cancelled = nullptr;  // looked at several times a second
};

struct ConfinedResult {
  enum class End { kExited, kTimedOut, kTooMuchOutput, kCancelled };
  End end = End::kExited;
  int exit_code = 0;  // 128 + signal where one ended it
  std::string output;
};

// `argv[0]` is the program's path. It reads `input` from its standard input and answers on its standard
// output; its errors go nowhere, and it inherits no other file where the system can see to that. kIo where
// it cannot be started.
Result<ConfinedResult> run_confined(const std::vector<std::string>& argv, std::string_view input,
                                    const Confinement& confinement);

// The running program, for starting it once more. On Linux that works also after its file was replaced.
Result<std::string> own_image();

// From now on this process may use that much processor time before it is ended by SIGXCPU; no core files.
void limit_processor_time(std::chrono::seconds time_max);

}  // namespace kvasir
