#include "cli/limits.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstring>

#include "base/aligned_buffer.h"

namespace kvasir::cli {
namespace {

template <class F>
double best_seconds(const F& f) {
  double best = 1e9;
  for (int i = 0; i < 5; ++i) {
    const auto start = std::chrono::steady_clock::now();
    f();
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}

}  // namespace

MachineLimits measure_limits(ThreadPool& pool, const kernels::KernelTable& table) {
  MachineLimits limits;
  std::atomic<std::uint32_t> sink{0};  // keeps the loops' results alive

  constexpr std::size_t kPart = std::size_t{4} << 20;
  constexpr std::size_t kParts = 64;  // 256 MiB: far more than any cache
  AlignedBuffer memory(kPart * kParts);
  std::memset(memory.data(), 1, memory.size());
  const double read = best_seconds([&] {
    pool.parallel_for(kParts, 1, [&](std::size_t begin, std::size_t end, std::size_t) {
      for (std::size_t i = begin; i < end; ++i) sink += table.read_bytes(memory.data() + i * kPart, kPart);
    });
  });
  limits.read_bytes_per_s = static_cast<double>(memory.size()) / read;

  constexpr std::size_t kRounds = std::size_t{1} << 20;
  const std::size_t jobs = pool.size() * 8;
  const auto ops_per_s = [&](double of_a_round, const auto& loop) {
    const double seconds = best_seconds([&] {
      pool.parallel_for(jobs, 1, [&](std::size_t begin, std::size_t end, std::size_t) {
        for (std::size_t i = begin; i < end; ++i)
          sink += std::bit_cast<std::uint32_t>(loop(kRounds + i % 2 * 8));
      });
    });
    return static_cast<double>(jobs * kRounds) * of_a_round / seconds;
  };
  limits.int8_ops_per_s = ops_per_s(128, table.dot_bytes);
  limits.f32_ops_per_s = ops_per_s(32, table.fma_floats);
  if (table.dot_pairs != nullptr) limits.bf16_ops_per_s = ops_per_s(64, table.dot_pairs);
  return limits;
}

}  // namespace kvasir::cli
