// Products of many tokens: groups of rows are unpacked into panels (panel.h), and register tiles of a few
// groups and tokens run over them. Compiled once an instruction set, in front of matmul.h, whose float steps
// these are.

#include <algorithm>

#include "kernels/generic/panel.h"

namespace kvasir::kernels::KVASIR_SIMD {
namespace {

inline std::int32_t shift_of(const QuantizedRows& x, std::size_t at, int halves, std::size_t half) {
  return halves == 2 ? x.shift[2 * at + half] : x.shift32[at];
}

// What a dot over panel bytes starts at (see Panel), on top of kBase. `shift`: as in QuantizedRows.
template <bool kAffine, bool kWide, std::int32_t kBase = 0>
inline I panel_start(std::int32_t shift) {
  if constexpr (!kAffine && !kSignedPanel) return set1_int(shift - (kSumBase - kBase));
  if constexpr (kAffine && kWide && kSignedPanel) return set1_int(kBase - (shift - kSumBase));
  return set1_int(kBase);
}

// Blocks [first, last) of G groups, unpacked, and the tokens they are multiplied with: all blocks, or a part
// of them (kParts below).
struct PanelRun {
  const PackedMatrix& w;
  const QuantizedRows& x;
  const MatmulOutput& out;
  const Panel* panels;  // G
  std::size_t group;    // the first
  std::size_t first, last;
  float* sums = nullptr;        // (tokens, G, 16): over the parts before
  LinesAhead* ahead = nullptr;  // asked for meanwhile
};

// kExact: products start at kSumBase, which one plane's never leave the reach of, and float(dot) * d is
// (kFloatSumBase + dot) * d - kFloatSumBase * d, rounded once: the same bits.
template <bool kAffine, int kHalves, bool kWide, int P, bool kExact, bool kParts, int G, int N>
void panel_tile(const PanelRun& run, std::size_t token) {
  constexpr std::size_t kScales = panel_scales({kAffine, kHalves, kWide});
  constexpr std::size_t kHalfSteps = kSteps / kHalves;
  const QuantizedRows& x = run.x;
  const std::size_t columns = run.w.columns;
  const std::size_t blocks = columns / kBlockK;
  [[maybe_unused]] float* const waiting = kParts ? run.sums + token * G * kGroupRows : nullptr;
  F sum[G][N];
  for (int g = 0; g < G; ++g) {
    for (int n = 0; n < N; ++n)
      sum[g][n] = !kParts || run.first == 0 ? set1(0.0F) : load(waiting + (n * G + g) * kGroupRows);
  }
  const std::byte* bytes[G];
  const float* scales[G];
  for (int g = 0; g < G; ++g) {
    bytes[g] = run.panels[g].bytes;
    scales[g] = run.panels[g].scales;
  }
  for (std::size_t b = run.first; b < run.last; ++b) {
    if constexpr (kParts) run.ahead->ask();
    const std::size_t a = (token * blocks + b) * kBlockK;
    for (std::size_t half = 0; half < kHalves; ++half) {
      I dot[G][N];
      const auto dot_plane = [&](const std::int8_t* plane) __attribute__((always_inline)) {
        for (std::size_t step = 0; step < kHalfSteps; ++step) {
          const std::size_t s = half * kHalfSteps + step;
          B weights[G];
          for (int g = 0; g < G; ++g) weights[g] = load_bytes(bytes[g] + 64 * s);
          for (int n = 0; n < N; ++n) {
            const A act = four(plane + a + 4 * s + static_cast<std::size_t>(n) * columns);
            for (int g = 0; g < G; ++g) dot[g][n] = dot_panel(dot[g][n], weights[g], act);
          }
        }
      };
      if constexpr (P == 2) {
        for (auto& row : dot) {
          for (I& sum_of_block : row) sum_of_block = zero_int();
        }
        dot_plane(x.q);
        for (auto& row : dot) {
          for (I& sum_of_block : row) sum_of_block = shift_left7(sum_of_block);
        }
      }
      for (int n = 0; n < N; ++n) {
        const std::size_t at = (token + static_cast<std::size_t>(n)) * blocks + b;
        const I start = panel_start<kAffine, kWide, kExact ? kSumBase : 0>(shift_of(x, at, kHalves, half));
        for (int g = 0; g < G; ++g) dot[g][n] = P == 2 ? add_int(dot[g][n], start) : start;
      }
      dot_plane(P == 2 ? x.low : x.q);
      for (int g = 0; g < G; ++g) {
        const F d = load(scales[g]);
        const F base = mul(d, set1(-kFloatSumBase));
        for (int n = 0; n < N; ++n) {
          const std::size_t at = (token + static_cast<std::size_t>(n)) * blocks + b;
          const F product = kExact ? fma(as_float(dot[g][n]), d, base) : mul(to_float(dot[g][n]), d);
          sum[g][n] = fma(product, set1(x.scale[at]), sum[g][n]);
          if constexpr (kAffine) {
            sum[g][n] = fma(load(scales[g] + kGroupRows), set1(scaled_sum<kHalves>(x, at, half)), sum[g][n]);
          }
        }
        scales[g] += kScales / kHalves;
      }
    }
    for (int g = 0; g < G; ++g) bytes[g] += kPanelBlockBytes;
  }
  for (int g = 0; g < G; ++g) {
    for (int n = 0; n < N; ++n) {
      if (kParts && run.last < blocks)
        store(waiting + (n * G + g) * kGroupRows, sum[g][n]);
      else
        store_result(sum[g][n], run.w, run.group + static_cast<std::size_t>(g),
                     token + static_cast<std::size_t>(n), run.out);
    }
  }
}

template <bool kAffine, int kHalves, bool kWide, int P, bool kExact, bool kParts, int G, int N>
void panel_tail(const PanelRun& run, std::size_t token, std::size_t left) {
  if constexpr (N > 0) {
    if (left == static_cast<std::size_t>(N))
      panel_tile<kAffine, kHalves, kWide, P, kExact, kParts, G, N>(run, token);
    else
      panel_tail<kAffine, kHalves, kWide, P, kExact, kParts, G, N - 1>(run, token, left);
  }
}

template <PackedType T, int P, bool kExact, bool kParts, int G>
void panel_tokens(const PanelRun& run, std::size_t tokens) {
  constexpr Kind kKind = kind_of(T);
  // Only affine bytes care how wide they are: all others share one tile.
  constexpr bool kWide = kKind.wide && kKind.affine;
  std::size_t t = 0;
  for (; t + kTileTokens <= tokens; t += kTileTokens)
    panel_tile<kKind.affine, kKind.halves, kWide, P, kExact, kParts, G, kTileTokens>(run, t);
  panel_tail<kKind.affine, kKind.halves, kWide, P, kExact, kParts, G, kTileTokens - 1>(run, t, tokens - t);
}

// What is unpacked next: of the same groups, or the first blocks of the G behind them.
template <PackedType T, int G>
LinesAhead next_blocks(const PackedMatrix& w, std::size_t group, std::size_t first, std::size_t count) {
  const std::size_t blocks = w.columns / kBlockK;
  if (first == blocks) {
    first = 0;
    group += G;
  }
  const std::size_t last = std::min(blocks, first + count);
  const std::size_t scale_bytes = w.group_bytes() - w.scales_offset();
  LinesAhead lines;
  for (std::size_t g = group; g < std::min<std::size_t>(group + G, w.groups()); ++g) {
    const std::byte* quants = w.group(g);
    const std::byte* scales = quants + w.scales_offset();
    lines.add(quants + first * quant_bytes(T), quants + last * quant_bytes(T));
    lines.add(scales + scale_bytes * first / blocks, scales + scale_bytes * last / blocks);
  }
  return lines;
}

// G groups from `group` on.
template <PackedType T, int P, int G>
void panel_groups(const PackedMatrix& w, std::size_t group, const QuantizedRows& x, std::size_t tokens,
                  const MatmulOutput& out, std::byte* scratch) {
  const std::size_t blocks = w.columns / kBlockK;
  Panel panels[G];
  bool exact = true;
  for (int g = 0; g < G; ++g) {
    panels[g] = panel_at(scratch, w.columns, g);
    fill_panel<T>(w, group + g, 0, blocks, panels[g]);
    exact = exact && panels[g].exact;
  }
  const PanelRun run{w, x, out, panels, group, 0, blocks};
  if constexpr (P == 1 && G > 1) {
    if (exact) return panel_tokens<T, P, true, false, G>(run, tokens);
  }
  panel_tokens<T, P, false, false, G>(run, tokens);
}

// The same part by part: few tokens would wait for their weights. Each part is asked for while the one before
// is multiplied, and unpacked in the first-level cache. For many tokens unpacking is little of the work, and
// reading whole rows of them is worth more.
template <PackedType T, int P, int G>
void panel_parts(const PackedMatrix& w, std::size_t group, const QuantizedRows& x, std::size_t tokens,
                 const MatmulOutput& out, std::byte* scratch) {
  const std::size_t blocks = w.columns / kBlockK;
  const std::size_t parts = std::max<std::size_t>(1, (blocks + kPartBlocks / 2) / kPartBlocks);
  const std::size_t part = (blocks + parts - 1) / parts;
  Panel panels[G];
  for (int g = 0; g < G; ++g) panels[g] = panel_at(scratch, part * kBlockK, g);
  auto* sums = reinterpret_cast<float*>(scratch + G * matmul_panel_bytes(part * kBlockK));
  PanelRun run{w, x, out, panels, group, 0, 0, sums};
  for (; run.first < blocks; run.first = run.last) {
    run.last = std::min(blocks, run.first + part);
    LinesAhead ahead = next_blocks<T, G>(w, group, run.last, part);
    ahead.spread((tokens + kTileTokens - 1) / kTileTokens * (run.last - run.first));
    run.ahead = &ahead;
    for (int g = 0; g < G; ++g) fill_panel<T>(w, group + g, run.first, run.last, panels[g]);
    panel_tokens<T, P, P == 1, true, G>(run, tokens);
  }
}

}  // namespace
}  // namespace kvasir::kernels::KVASIR_SIMD
