// The product of one matrix of each GGUF type with one token and with many, one thread: bits a weight in the
// file and in memory, and weights a second; the share is of what this core reads from memory a second.
//
//     build/weights_bench [TYPE...]        KVASIR_KERNEL=avx2 build/weights_bench IQ2_XS

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <random>
#include <string_view>
#include <vector>

#include "base/thread_pool.h"
#include "kernels/kernels.h"
#include "weights/repack.h"

namespace {

using namespace kvasir;
using namespace kvasir::kernels;
using weights::TensorInfo;
using weights::TensorType;

constexpr std::size_t kRows = 8192;
constexpr std::size_t kColumns = 8192;
constexpr std::size_t kMostTokens = 64;

constexpr TensorType kTypes[] = {
    TensorType::kIQ1_S,  TensorType::kIQ1_M,  TensorType::kTQ1_0,  TensorType::kTQ2_0,   TensorType::kIQ2_XXS,
    TensorType::kIQ2_XS, TensorType::kIQ2_S,  TensorType::kQ2_K,   TensorType::kIQ3_XXS, TensorType::kIQ3_S,
    TensorType::kQ3_K,   TensorType::kIQ4_XS, TensorType::kIQ4_NL, TensorType::kMXFP4,   TensorType::kNVFP4,
    TensorType::kQ4_0,   TensorType::kQ4_1,   TensorType::kQ4_K,   TensorType::kQ5_0,    TensorType::kQ5_1,
    TensorType::kQ5_K,   TensorType::kQ6_K,   TensorType::kQ8_0};

// The fastest of some rounds: what disturbs a round only makes it slower.
template <class Work>
double best_seconds(const Work& work, int rounds) {
  double best = 1e9;
  for (int i = 0; i < rounds; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    work();
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  return best;
}

struct Tokens {
  std::vector<std::int8_t> q = std::vector<std::int8_t>(kMostTokens * kColumns);
  std::vector<float> scale = std::vector<float>(kMostTokens * kColumns / 32);
  std::vector<float> scaled_sum = scale;
  std::vector<std::int32_t> shift = std::vector<std::int32_t>(kMostTokens * kColumns / 16);
  std::vector<std::int32_t> shift32 = std::vector<std::int32_t>(kMostTokens * kColumns / 32);
  QuantizedRows rows{q.data(),     nullptr,        scale.data(), scaled_sum.data(),
                     shift.data(), shift32.data(), kColumns};
};

void time_type(TensorType type, const Tokens& tokens, double memory_bytes_a_second) {
  TensorInfo tensor;
  tensor.type = type;
  tensor.shape = {kColumns, kRows};
  std::vector<std::byte> bytes(static_cast<std::size_t>(tensor.row_bytes()) * kRows);
  std::mt19937_64 rng(1);
  for (std::size_t i = 0; i + 8 <= bytes.size(); i += 8) {
    const std::uint64_t word = rng();
    std::copy_n(reinterpret_cast<const std::byte*>(&word), 8, bytes.data() + i);
  }
  weights::TensorPart part;
  part.rows = kRows;
  part.data = bytes;
  tensor.parts = {part};
  ThreadPool pool(1);
  const PackedMatrix w = *weights::repack(tensor, pool);
  std::vector<float> y(kMostTokens * kRows);
  AlignedBuffer scratch(matmul_scratch_bytes(kColumns));
  const auto seconds = [&](std::size_t count) {
    const MatmulOutput out{y.data(), kRows, nullptr, false};
    return best_seconds(
        [&] { kernels::kernels().matmul(w, 0, w.groups(), tokens.rows, count, out, scratch.data()); },
        count == 1 ? 15 : 3);
  };
  constexpr double kWeights = double{kRows} * kColumns;
  const auto packed = static_cast<double>(w.groups() * w.group_bytes());
  const double one = seconds(1);
  const double many = seconds(kMostTokens);
  std::printf(
      "%-8s %5.2f bits, %5.2f in memory   1 token %6.2f G weights/s, %3.0f%% of memory   %zu tokens %6.1f "
      "G\n",
      std::string(name_of(type)).c_str(), static_cast<double>(bytes.size()) * 8 / kWeights,
      packed * 8 / kWeights, kWeights / one * 1e-9, 100 * packed / one / memory_bytes_a_second, kMostTokens,
      kWeights * kMostTokens / many * 1e-9);
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  Tokens tokens;
  std::mt19937 rng(2);
  std::vector<float> x(kColumns);
  std::normal_distribution<float> normal;
  for (std::size_t t = 0; t < kMostTokens; ++t) {
    for (float& v : x) v = normal(rng);
    kernels::kernels().quantize(x.data(), tokens.rows, t);
  }
  AlignedBuffer memory(std::size_t{256} << 20);
  std::fill_n(memory.data(), memory.size(), std::byte{1});  // pages that nobody wrote are all one page
  volatile std::uint8_t sink = 0;
  const double read =
      static_cast<double>(memory.size()) /
      best_seconds([&] { sink = kernels::kernels().read_bytes(memory.data(), memory.size()); }, 5);
  std::printf("%s, %.1f GB/s\n", std::string(kernels::kernels().name).c_str(), read * 1e-9);
  for (const TensorType type : kTypes) {
    const bool asked = argc == 1 || std::any_of(argv + 1, argv + argc,
                                                [&](std::string_view name) { return name == name_of(type); });
    if (asked) time_type(type, tokens, read);
  }
}
