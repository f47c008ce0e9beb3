#pragma once
// Checks that stay on in release builds, for invariants whose breach would leak or corrupt another
// conversation's data. A process that stops is better than one that answers with someone else's tokens.

#include <cstdio>
#include <cstdlib>

namespace kvasir {

[[noreturn]] inline void check_failed(const char* condition, const char* message, const char* file,
                                      int line) {
  std::fprintf(stderr, "kvasir: broken invariant: %s (%s) at %s:%d\n", message, condition, file, line);
  std::fflush(stderr);
  std::abort();
}

}  // namespace kvasir

// Aborts with `message` (a string literal saying what should have held) unless `condition` holds.
#define KVASIR_CHECK(condition, message)                               \
  do {                                                                 \
    if (!(condition)) [[unlikely]] {                                   \
      ::kvasir::check_failed(#condition, message, __FILE__, __LINE__); \
    }                                                                  \
  } while (false)
