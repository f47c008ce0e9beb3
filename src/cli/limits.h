#pragma once
// What this machine can do at most, measured now: speeds are told as shares of it.

#include "base/thread_pool.h"
#include "kernels/kernels.h"

namespace kvasir::cli {

struct MachineLimits {
  double read_bytes_per_s = 0;  // memory, all threads
  // Multiplies and adds from registers, all threads.
  double int8_ops_per_s = 0;  // of the vector unit's int8 dots; tile registers can do more
  double bf16_ops_per_s = 0;  // 0 where the kernels have no bf16 dot
  double f32_ops_per_s = 0;
};

// Takes about a second.
MachineLimits measure_limits(ThreadPool& pool, const kernels::KernelTable& table);

}  // namespace kvasir::cli
