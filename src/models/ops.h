#pragma once
// The kernels driven over rows and threads: what the forward pass is written with. Every result depends on
// its own row's inputs only.

#include <cstddef>
#include <span>
#include <type_traits>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/thread_pool.h"
#include "kernels/kernels.h"
#include "models/description.h"
#include "models/part_times.h"
#include "models/rows.h"
#include "models/runs.h"

namespace kvasir::models {

// One y = W x (+ bias) of a set that shares x.
struct Linear {
  const kernels::PackedMatrix* weight = nullptr;
  kernels::MatmulOutput out;  // out.y is of the first of these rows
  // The rows of x that take part.
  std::size_t first_row = 0;
  std::size_t rows = kAllRows;

  static constexpr std::size_t kAllRows = static_cast<std::size_t>(-1);
};

class Ops {
 public:
  // All are borrowed and outlive this; `times` may be null.
  Ops(ThreadPool& pool, const kernels::KernelTable& table, PartTimes* times = nullptr);

  // Quantises rows of x in place of their int8 form; x must have been written.
  void quantize(Rows& x);
  // out row t = rms_norm(x row t) * weight, then quantised.
  void norm(Rows& x, std::span<const float> weight, float epsilon, Rows& out);
  // gate row t = f(gate row t) * up row t, then quantised.
  void gated(Activation activation, Rows& gate, Rows& up);
  // x row t += scale * y row t, with y normed first where there is a weight. y is overwritten.
  void add(Rows& x, Rows& y, std::span<const float> norm_weight, float epsilon, float scale);
  // out row t = f(Wgate x row t) * (Wup x row t), quantised; out's floats are not written. x is quantised
  // already. Bit for bit linear() and gated(), with the floats in between never leaving a core's cache.
  void gated_linear(Activation activation, const kernels::PackedMatrix& gate, const kernels::PackedMatrix& up,
                    Rows& x, Rows& out);
  // All products of one x in one pass over the threads. x is quantised already.
  void linear(std::span<const Linear> products, Rows& x);

  // Calls f(t), or f(t, worker) (for scratch), for every t < count, on all threads.
  template <class F>
  void each(std::size_t count, const F& f) {
    const std::size_t chunk = count / (pool_.size() * 4) + 1;
    pool_.parallel_for(count, chunk, [&](std::size_t begin, std::size_t end, std::size_t worker) {
      for (std::size_t i = begin; i < end; ++i) {
        if constexpr (std::is_invocable_v<const F&, std::size_t, std::size_t>)
          f(i, worker);
        else
          f(i);
      }
    });
  }

  // Calls f(begin, end, worker) for pieces of [0, count), on all threads, each in a run of its own: threads
  // that take turns are then far from each other, and what one asks memory for ahead of itself is its own.
  void in_runs(std::size_t count, std::size_t piece, RangeFunction f);

  ThreadPool& pool() { return pool_; }
  const kernels::KernelTable& table() const { return table_; }
  PartTimes* times() { return times_; }
  // Of one thread; contents are undefined.
  std::byte* scratch(std::size_t worker, std::size_t bytes);

 private:
  // Of W's groups [first, last) and `rows` rows of x from first_row on.
  void product(const kernels::PackedMatrix& w, std::size_t first, std::size_t last, Rows& x,
               std::size_t first_row, std::size_t rows, const kernels::MatmulOutput& out, std::byte* scratch);
  void activate(Activation activation, float* gate, const float* up, std::size_t n);
  void count_product(Part part, const kernels::PackedMatrix& w, const Rows& x, std::size_t rows);

  ThreadPool& pool_;
  const kernels::KernelTable& table_;
  PartTimes* times_;
  Runs runs_;
  std::vector<AlignedBuffer> scratch_;  // one a thread
};

}  // namespace kvasir::models
