// Attention of one KV head over a paged cache, one thread, as a share of what this core's float multiply-adds
// can do.
//
//     build/attention_bench [KEYS]

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

#include "kernels/kernels.h"
#include "timing.h"

namespace {

using namespace kvasir;
using namespace kvasir::kernels;

double float_peak(const KernelTable& table) {
  constexpr std::size_t kRounds = std::size_t{1} << 22;
  volatile float sink = 0;
  return 32.0 * kRounds / best_seconds([&] { sink = table.fma_floats(kRounds); }, 5);
}

struct Shape {
  const char* name;
  std::size_t tokens, heads, head_dim;
};

void run(const KernelTable& table, bool bf16, double peak, KvType type, const Shape& shape,
         std::size_t keys) {
  const std::size_t d = shape.head_dim;
  const std::size_t block_bytes = kv_head_layout(type, d, d).bytes;
  const std::size_t block_count = keys / kBlockTokens;
  std::vector<std::byte> memory(block_count * block_bytes);
  std::vector<BlockId> blocks;
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  const auto floats = [&](std::size_t n) {
    std::vector<float> x(n);
    for (float& v : x) v = normal(random);
    return x;
  };
  const std::vector<float> kv = floats(d);
  for (std::size_t b = 0; b < block_count; ++b) {
    blocks.push_back(BlockId{static_cast<std::uint32_t>(b)});
    for (std::size_t slot = 0; slot < kBlockTokens; ++slot)
      table.store_kv(type, kv.data(), kv.data(), d, d, slot, memory.data() + b * block_bytes);
  }
  const std::size_t rows = shape.tokens * shape.heads;
  const std::vector<float> q = floats(rows * d);
  const AttentionInput in{q.data(),    shape.heads * d,
                          d,           shape.tokens,
                          shape.heads, static_cast<std::uint32_t>(keys - shape.tokens),
                          d,           d,
                          0,           0.0F,
                          type,        memory.data(),
                          block_bytes, 0,
                          blocks};
  std::vector<float> total(rows * attention_state_floats(d));
  std::vector<float> part(total.size());
  std::vector<std::byte> scratch(attention_scratch_bytes(rows, d, d));
  const auto attend = bf16 ? table.attention_segment_bf16 : table.attention_segment;
  const auto work = [&] {
    for (std::size_t b = 0; b < block_count; b += kSegmentBlocks) {
      float* into = b == 0 ? total.data() : part.data();
      attend(in, b, std::min(b + kSegmentBlocks, block_count), into, scratch.data());
      if (b == 0) continue;
      for (std::size_t r = 0; r < rows; ++r) {
        table.attention_merge(total.data() + r * attention_state_floats(d),
                              part.data() + r * attention_state_floats(d), d);
      }
    }
  };
  const double operations = 4.0 * static_cast<double>(rows * keys * d);
  const double rate = operations / best_seconds(work, 20);
  std::printf("%-11s %-4s KV %-5s %-28s %8.1f GFLOPS  %3.0f%% of the float peak\n", table.name.data(),
              bf16 ? "bf16" : "f32", name_of(type).data(), shape.name, rate / 1e9, rate / peak * 100);
}

}  // namespace

int main(int argc, char** argv) {
  const std::size_t keys = argc > 1 ? std::strtoul(argv[1], nullptr, 10) / kBlockTokens * kBlockTokens : 8192;
  constexpr Shape kShapes[] = {
      {"prefill, 7 heads of 64", 16, 7, 64},   {"prefill, 3 heads of 64", 16, 3, 64},
      {"prefill, 4 heads of 128", 16, 4, 128}, {"decode, 7 heads of 64", 1, 7, 64},
      {"decode, 3 heads of 64", 1, 3, 64},     {"decode, 4 heads of 128", 1, 4, 128}};
  for (const KernelTable* table : available_kernels()) {
    if (table == available_kernels().front()) continue;  // scalar is a reference, not an engine
    const double peak = float_peak(*table);
    for (const bool bf16 : {false, true}) {
      if (bf16 && table->attention_segment_bf16 == nullptr) continue;
      for (const KvType type : {KvType::kF16, KvType::kQ8}) {
        for (const Shape& shape : kShapes) run(*table, bf16, peak, type, shape, keys);
      }
    }
  }
  return 0;
}
