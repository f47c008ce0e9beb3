// Chooses the kernel table for this CPU, once.

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#include "base/machine.h"
#include "kernels/kernels.h"

namespace kvasir::kernels {

#define KVASIR_DECLARE_TABLE(isa) \
  namespace isa {                 \
  const KernelTable& table();     \
  }
KVASIR_DECLARE_TABLE(scalar)
#if defined(__x86_64__)
KVASIR_DECLARE_TABLE(avx2)
#if !defined(KVASIR_FEW_KERNELS)
KVASIR_DECLARE_TABLE(avxvnni)
KVASIR_DECLARE_TABLE(avx512vnni)
KVASIR_DECLARE_TABLE(avx512bf16)
KVASIR_DECLARE_TABLE(avx512amx)
#endif
#elif defined(__aarch64__)
KVASIR_DECLARE_TABLE(neon)
#endif
#undef KVASIR_DECLARE_TABLE

namespace {

#if defined(__x86_64__) && !defined(KVASIR_FEW_KERNELS)
// CPUID leaf 7, sub-leaf 1, register EAX: GCC 12's __builtin_cpu_supports does not know all of it.
constexpr unsigned kAvxVnni = 1U << 4;
constexpr unsigned kAvx512Bf16 = 1U << 5;
bool has_leaf7_1(unsigned bit) {
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  return __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a & bit) != 0;
}
#endif

#if defined(__x86_64__) && !defined(KVASIR_FEW_KERNELS)
// CPUID leaf 7, EDX: tile registers, and products of their bf16 and of their bytes.
constexpr unsigned kAmxBf16 = 1U << 22;
constexpr unsigned kAmxTile = 1U << 24;
constexpr unsigned kAmxInt8 = 1U << 25;
bool has_tiles() {
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  constexpr unsigned kAll = kAmxTile | kAmxInt8 | kAmxBf16;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d & kAll) == kAll && allow_tile_registers();
}
#endif

std::vector<const KernelTable*> find_tables() {
  std::vector<const KernelTable*> tables{&scalar::table()};
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c")) {
    tables.push_back(&avx2::table());
  }
#if !defined(KVASIR_FEW_KERNELS)
  if (tables.size() > 1 && has_leaf7_1(kAvxVnni)) tables.push_back(&avxvnni::table());
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512vnni")) {
    tables.push_back(&avx512vnni::table());
    if (has_leaf7_1(kAvx512Bf16)) {
      tables.push_back(&avx512bf16::table());
      if (has_tiles()) tables.push_back(&avx512amx::table());
    }
  }
#endif
#elif defined(__aarch64__)
#if defined(__linux__)
  if ((getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0) tables.push_back(&neon::table());
#else
  tables.push_back(&neon::table());  // every Apple silicon has the dot product
#endif
#endif
  return tables;
}

const KernelTable& choose() {
  const auto tables = available_kernels();
  const char* wanted = std::getenv("KVASIR_KERNEL");
  if (wanted == nullptr || *wanted == '\0') return *tables.back();
  std::string names;
  for (const KernelTable* t : tables) {
    if (t->name == wanted) return *t;
    names += (names.empty() ? "" : ", ") + std::string(t->name);
  }
  std::fprintf(stderr, "KVASIR_KERNEL=%s: this CPU has no such kernels; choose one of %s\n", wanted,
               names.c_str());
  std::exit(2);
}

}  // namespace

std::span<const KernelTable* const> available_kernels() {
  static const std::vector<const KernelTable*> tables = find_tables();
  return tables;
}

const KernelTable& kernels() {
  static const KernelTable& chosen = choose();
  return chosen;
}

std::size_t matmul_scratch_bytes(std::size_t k) {
  // Whole panels, and behind them the scales and scaled sums of 16 tokens; or parts of two, and sums.
  const std::size_t whole = matmul_panels(k) * matmul_panel_bytes(k) + k / kBlockK * 2 * 16 * sizeof(float);
  const std::size_t parts = 2 * (matmul_panel_bytes(std::min(k, 2 * kPartBlocks * kBlockK)) +
                                 kPartTokens * kGroupRows * sizeof(float));
  return std::max(whole, parts);
}

std::size_t attention_scratch_bytes(std::size_t rows, std::size_t head_dim, std::size_t value_dim) {
  // A block of keys or values, the queries as pairs, and the rows' weights; rows and dimensions in whole
  // tiles.
  constexpr std::size_t kRows = 16;
  constexpr std::size_t kDims = 32;
  const std::size_t all_rows = (rows + kRows - 1) / kRows * kRows;
  const std::size_t dims = (std::max(head_dim, value_dim) + kDims - 1) / kDims * kDims;
  const std::size_t floats =
      dims * kBlockTokens + all_rows * dims / 2 + all_rows * kSegmentBlocks * kBlockTokens;
  return floats * sizeof(float);
}

}  // namespace kvasir::kernels
