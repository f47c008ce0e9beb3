#pragma once
// What this machine can do at most, measured now: speeds are told as shares of it.

#include "base/thread_pool.h"
#include "kernels/kernels.h"

namespace kvasir::cli {

struct MachineLimits {
  double read_bytes_per_s = 0;  // memory, all threads
  double int8_ops_per_s = 0;    // multiplies and adds of int8 dots, all threads
};

// Takes about half a second.
MachineLimits measure_limits(ThreadPool& pool, const kernels::KernelTable& table);

}  // namespace kvasir::cli
