#include "cli/limits.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstring>

namespace kvasir::cli {
namespace {

constexpr std::size_t kPart = std::size_t{1} << 20;
constexpr std::uint64_t kLeastBytes = std::uint64_t{64} << 20;
constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 30;

template <class F>
double seconds_of(const F& f) {
  const auto start = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

template <class F>
double best_seconds(const F& f) {
  double best = 1e9;
  for (int i = 0; i < 5; ++i) best = std::min(best, seconds_of(f));
  return best;
}

}  // namespace

MemoryLimit::MemoryLimit(ThreadPool& pool, const kernels::KernelTable& table, std::uint64_t bytes)
    : pool_(pool), table_(table), memory_(std::clamp(bytes, kLeastBytes, kMostBytes) / kPart * kPart) {
  std::memset(memory_.data(), 1, memory_.size());
}

double MemoryLimit::read() {
  std::atomic<std::uint32_t> sink{0};  // keeps the loop's result alive
  return seconds_of([&] {
    pool_.parallel_for(memory_.size() / kPart, 1, [&](std::size_t begin, std::size_t end, std::size_t) {
      for (std::size_t i = begin; i < end; ++i) sink += table_.read_bytes(memory_.data() + i * kPart, kPart);
    });
  });
}

ComputeLimits measure_limits(ThreadPool& pool, const kernels::KernelTable& table) {
  ComputeLimits limits;
  std::atomic<std::uint32_t> sink{0};

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
