#pragma once
// What this machine can do at most, measured now: speeds are told as shares of it.

#include <cstdint>

#include "base/aligned_buffer.h"
#include "base/thread_pool.h"
#include "kernels/kernels.h"

namespace kvasir::cli {

// Of reading memory, all threads: as many bytes as a model's weights have, from beginning to end, as a
// decoded token reads them. What a shared machine's memory gives changes by a fifth from one moment to the
// next, so this is measured in turn with what is told as a share of it.
class MemoryLimit {
 public:
  MemoryLimit(ThreadPool& pool, const kernels::KernelTable& table, std::uint64_t bytes);

  // Reads all of it once; seconds.
  double read();
  double bytes() const { return static_cast<double>(memory_.size()); }

 private:
  ThreadPool& pool_;
  const kernels::KernelTable& table_;
  AlignedBuffer memory_;
};

// Multiplies and adds from registers, all threads.
struct ComputeLimits {
  double int8_ops_per_s = 0;  // of the vector unit's int8 dots; tile registers can do more
  double bf16_ops_per_s = 0;  // 0 where the kernels have no bf16 dot
  double f32_ops_per_s = 0;
};

// Takes about a second.
ComputeLimits measure_limits(ThreadPool& pool, const kernels::KernelTable& table);

}  // namespace kvasir::cli
