#pragma once
// What a thread does in a loop that waits for another: lets the CPU know.

namespace kvasir {

inline void pause_cpu() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace kvasir
