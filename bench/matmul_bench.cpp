// Products of packed weights with many tokens, one thread, as a share of what this core's int8 dots can do.
//
//     build/matmul_bench [TOKENS] [KERNEL]

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string_view>
#include <vector>

#include "kernels/kernels.h"
#include "timing.h"

namespace {

using namespace kvasir;
using namespace kvasir::kernels;

struct Shape {
  const char* name;
  std::size_t rows, columns;
};

struct Type {
  const char* name;
  PackedType type;
};

double int8_peak(const KernelTable& table) {
  constexpr std::size_t kRounds = std::size_t{1} << 22;
  volatile std::int32_t sink = 0;
  return 128.0 * kRounds / best_seconds([&] { sink = table.dot_bytes(kRounds); }, 5);
}

// Any codes will do; scales of 1, so that sums stay finite.
PackedMatrix random_matrix(PackedType type, const Shape& shape, std::mt19937& random) {
  PackedMatrix w;
  w.type = type;
  w.rows = shape.rows;
  w.columns = shape.columns;
  if (scales_by_16(type)) w.scale_k = 16;
  w.data = AlignedBuffer(w.groups() * w.group_bytes());
  constexpr std::uint16_t kOne = 0x3C00;
  for (std::size_t g = 0; g < w.groups(); ++g) {
    std::byte* p = w.group(g);
    for (std::size_t i = 0; i < w.group_bytes(); ++i) p[i] = static_cast<std::byte>(random());
    for (std::size_t i = w.scales_offset(); i + 2 <= w.group_bytes(); i += 2) std::memcpy(p + i, &kOne, 2);
  }
  return w;
}

void run(const KernelTable& table, double peak, const Type& type, const Shape& shape, std::size_t tokens,
         bool precise) {
  std::mt19937 random(1);
  const PackedMatrix w = random_matrix(type.type, shape, random);
  const std::size_t k = shape.columns;
  std::vector<std::int8_t> q(tokens * k);
  std::vector<std::int8_t> low(precise ? q.size() : 0);
  std::vector<float> scale(tokens * k / 32);
  std::vector<float> sum(tokens * k / 32);
  std::vector<std::int32_t> shift(tokens * k / 16);
  std::vector<std::int32_t> shift32(tokens * k / 32);
  const QuantizedRows x{
      q.data(), precise ? low.data() : nullptr, scale.data(), sum.data(), shift.data(), shift32.data(), k};
  std::vector<float> row(k);
  std::normal_distribution<float> normal;
  for (std::size_t t = 0; t < tokens; ++t) {
    for (float& v : row) v = normal(random);
    table.quantize(row.data(), x, t);
  }
  std::vector<float> y(tokens * shape.rows);
  std::vector<std::byte> scratch(matmul_scratch_bytes(k) + 64);
  auto* aligned =
      reinterpret_cast<std::byte*>((reinterpret_cast<std::uintptr_t>(scratch.data()) + 63) / 64 * 64);
  const double operations = 2.0 * static_cast<double>(tokens * shape.rows) * static_cast<double>(k);
  // As many groups at a time as a thread of two is given (models/ops.cpp).
  const std::size_t chunk = std::max<std::size_t>(2, w.groups() / 16 / 2 * 2);
  const auto work = [&] {
    for (std::size_t g = 0; g < w.groups(); g += chunk)
      table.matmul(w, g, std::min(g + chunk, w.groups()), x, tokens, {y.data(), shape.rows}, aligned);
  };
  const double rate = operations / best_seconds(work, operations > 1e9 ? 5 : 20);
  std::printf("%-11s %-8s %s %-22s %4zu tokens %8.0f GOPS  %3.0f%% of the dots' peak\n", table.name.data(),
              type.name, precise ? "15 bits" : " 8 bits", shape.name, tokens, rate / 1e9, rate / peak * 100);
}

}  // namespace

int main(int argc, char** argv) {
  const std::size_t tokens = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 512;
  const std::string_view only = argc > 2 ? argv[2] : "";
  constexpr Shape kShapes[] = {{"Qwen qkv, 1152 x 896", 1152, 896},
                               {"Qwen gate+up, 9728 x 896", 9728, 896},
                               {"Qwen down, 896 x 4864", 896, 4864},
                               {"SmolLM2 gate+up, 3072 x 576", 3072, 576},
                               {"SmolLM2 down, 576 x 1536", 576, 1536}};
  constexpr Type kTypes[] = {{"Q4_0", PackedType::kU4Sym},
                             {"Q4_1", PackedType::kU4Affine},
                             {"Q8_0", PackedType::kU8Sym},
                             {"Q4_K", PackedType::kU4K},
                             {"Q6_K", PackedType::kU6K}};
  for (const KernelTable* table : available_kernels()) {
    if (table == available_kernels().front() || (!only.empty() && only != table->name)) continue;
    const double peak = int8_peak(*table);
    std::printf("%-11s int8 dots %.0f GOPS\n", table->name.data(), peak / 1e9);
    for (const Shape& shape : kShapes) {
      for (const Type& type : kTypes) {
        if (has_super_blocks(type.type) && shape.columns % kSuperK != 0) continue;
        for (const bool precise : {false, true}) run(*table, peak, type, shape, tokens, precise);
      }
    }
  }
  return 0;
}
