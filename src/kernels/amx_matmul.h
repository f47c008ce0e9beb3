// Matrix products on tile registers (AMX): 16 tokens times 16 rows times a block of K in one instruction,
// exact like every integer dot. The float steps are matmul.h's own, so the bits are those of all other
// kernels: a tile's whole sums over a block are left to the vector unit, which takes most of the time.
//
// Tokens that do not fill the last tile share it with the ones before, which are computed twice and stored
// once. Included by avx512amx.cpp alone.

#include <algorithm>
#include <atomic>
#include <type_traits>
#include <utility>

namespace kvasir::kernels::KVASIR_SIMD {
namespace {

constexpr std::size_t kTileRows = 16;                      // tokens of a tile
constexpr std::size_t kTileInts = kTileRows * kGroupRows;  // of a tile of sums

// What ldtilecfg takes (Intel SDM, volume 1, chapter 18).
struct TileConfig {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {};
  std::uint8_t rows[16] = {};
};
static_assert(sizeof(TileConfig) == 64);

// Tile registers. A block has its own for the sums of both planes (0 and 3 where its number is even, else 4
// and 5), tokens (1, 6) and weights (2, 7).
constexpr TileConfig tile_config() {
  TileConfig config;
  for (std::size_t i = 0; i < 8; ++i) {
    const bool weights = i == 2 || i == 7;
    const bool tokens = i == 1 || i == 6;
    config.rows[i] = weights ? kSteps : kTileRows;
    config.row_bytes[i] = tokens ? kBlockK : 64;
  }
  return config;
}
// Not a local one: GCC's intrinsic does not say that it reads all 64 bytes.
alignas(64) constexpr TileConfig kTileConfig = tile_config();

// The intrinsics take literal register numbers alone.
template <bool kOdd>
inline void load_weights(const std::byte* weights) {
  if constexpr (kOdd)
    _tile_loadd(7, weights, 64);
  else
    _tile_loadd(2, weights, 64);
}

// The sums of 16 tokens and 16 rows over a block. kSigned: how weights are read.
template <bool kSigned, bool kOdd, int kPlane>
inline void dot_tokens(const std::int8_t* tokens, std::size_t stride) {
  if constexpr (kOdd)
    _tile_loadd(6, tokens, stride);
  else
    _tile_loadd(1, tokens, stride);
  if constexpr (!kOdd && kPlane == 0) {
    _tile_zero(0);
    if constexpr (kSigned)
      _tile_dpbssd(0, 1, 2);
    else
      _tile_dpbsud(0, 1, 2);
  } else if constexpr (!kOdd) {
    _tile_zero(3);
    if constexpr (kSigned)
      _tile_dpbssd(3, 1, 2);
    else
      _tile_dpbsud(3, 1, 2);
  } else if constexpr (kPlane == 0) {
    _tile_zero(4);
    if constexpr (kSigned)
      _tile_dpbssd(4, 6, 7);
    else
      _tile_dpbsud(4, 6, 7);
  } else {
    _tile_zero(5);
    if constexpr (kSigned)
      _tile_dpbssd(5, 6, 7);
    else
      _tile_dpbsud(5, 6, 7);
  }
}

// To [token][row].
template <bool kOdd, int kPlane>
inline void store_sums(std::int32_t* to) {
  if constexpr (!kOdd && kPlane == 0)
    _tile_stored(0, to, 64);
  else if constexpr (!kOdd)
    _tile_stored(3, to, 64);
  else if constexpr (kPlane == 0)
    _tile_stored(4, to, 64);
  else
    _tile_stored(5, to, 64);
}

// What the 16 tokens from `token` on are multiplied by: of each block their scales, then, for affine weights,
// their scaled sums, 16 floats each.
template <bool kAffine>
void gather_scales(const QuantizedRows& x, std::size_t token, std::size_t blocks, float* to) {
  for (std::size_t b = 0; b < blocks; ++b) {
    for (std::size_t n = 0; n < kTileRows; ++n) to[n] = x.scale[(token + n) * blocks + b];
    to += kTileRows;
    if constexpr (!kAffine) continue;
    for (std::size_t n = 0; n < kTileRows; ++n) to[n] = x.scaled_sum[(token + n) * blocks + b];
    to += kTileRows;
  }
}

// Calls f with 0 to 15 as constants, so that arrays which are indexed with them stay in registers.
template <class F0>
[[gnu::always_inline]] inline void for_rows(const F0& f) {
  [&]<std::size_t... N>(std::index_sequence<N...>) __attribute__((always_inline)) {
    (f(std::integral_constant<std::size_t, N>()), ...);
  }(std::make_index_sequence<kTileRows>());
}

// Sums that wait to be scaled. 4 KiB in all, since a load waits for an earlier store whose address ends in
// the same 12 bits.
constexpr std::size_t kWaitingTiles = 4;

// The products of 16 tokens with a panel's 16 rows: results (tokens, rows).
//
// A store of a tile waits for its dot and holds up the tile instructions behind it, and what it has stored
// can be loaded once it has left the core's store buffer: so a block's sums are stored after the next one's
// dot has begun, and scaled after the next one's are stored. While tiles are at work only one of the vector
// unit's two ports multiplies floats; that is what is left to wait for.
template <bool kAffine, int P>
inline void tile_sums(const Panel& panel, std::size_t blocks, const std::int8_t* const* planes,
                      const float* token_scales, float* results) {
  constexpr std::size_t kScales = panel_scales({kAffine, 1, false});
  constexpr std::size_t kTokenScales = kTileRows * (kAffine ? 2 : 1);
  alignas(64) std::int32_t dots[kWaitingTiles * kTileInts];
  const auto place = [&](std::size_t b) { return dots + b % (kWaitingTiles / P) * P * kTileInts; };
  const std::size_t stride = blocks * kBlockK;
  const auto dot = [&](std::size_t b, auto odd) {
    constexpr bool kOdd = decltype(odd)::value;
    load_weights<kOdd>(panel.bytes + b * kPanelBlockBytes);
    dot_tokens<!kAffine, kOdd, 0>(planes[0] + b * kBlockK, stride);
    if (b > 0) store_sums<!kOdd, 0>(place(b - 1));
    if constexpr (P == 1) return;
    dot_tokens<!kAffine, kOdd, 1>(planes[1] + b * kBlockK, stride);
    if (b > 0) store_sums<!kOdd, 1>(place(b - 1) + kTileInts);
  };
  const auto store_last = [&](std::size_t b, auto odd) {
    store_sums<decltype(odd)::value, 0>(place(b));
    if constexpr (P == 2) store_sums<decltype(odd)::value, 1>(place(b) + kTileInts);
  };
  F sums[kTileRows];
  for_rows([&](auto n) { sums[n] = set1(0.0F); });
  const auto scale = [&](std::size_t b) __attribute__((always_inline)) {
    const float* of_tokens = token_scales + b * kTokenScales;
    const F d = load(panel.scales + kScales * b);
    const F m = kAffine ? load(panel.scales + kScales * b + kGroupRows) : d;
    const std::int32_t* of_block = place(b);
    for_rows([&](auto n) __attribute__((always_inline)) {
      I whole = _mm512_load_si512(of_block + n * kGroupRows);
      if constexpr (P == 2)
        whole = join_planes(whole, _mm512_load_si512(of_block + kTileInts + n * kGroupRows));
      sums[n] = fma(mul(to_float(whole), d), set1(of_tokens[n]), sums[n]);
      if constexpr (kAffine) sums[n] = fma(m, set1(of_tokens[kTileRows + n]), sums[n]);
    });
  };
  // GCC's tile loads do not say that they read memory.
  std::atomic_signal_fence(std::memory_order_seq_cst);
  std::size_t b = 0;
  for (; b + 1 < blocks; b += 2) {
    dot(b, std::false_type());
    if (b > 0) scale(b - 2);
    dot(b + 1, std::true_type());
    if (b > 0) scale(b - 1);
  }
  if (b < blocks) {
    dot(b, std::false_type());
    if (b > 0) scale(b - 2);
    store_last(b, std::false_type());
  } else {
    store_last(b - 1, std::true_type());
  }
  for (std::size_t last = blocks - std::min<std::size_t>(2, blocks); last < blocks; ++last) scale(last);
  for_rows([&](auto n) { store(results + n * kGroupRows, sums[n]); });
}

struct Product {
  const PackedMatrix& w;
  const QuantizedRows& x;
  const MatmulOutput& out;
};

// For at least kTileRows tokens, and types with one scale a block: with two, tiles would be half full.
template <PackedType T, int P>
void tile_product(const Product& of, std::size_t first_group, std::size_t last_group, std::size_t tokens,
                  std::byte* scratch) {
  constexpr Kind kKind = kind_of(T);
  const std::size_t k = of.w.columns;
  const std::size_t blocks = k / kBlockK;
  const std::size_t at_once = matmul_panels(k);
  auto* token_scales = reinterpret_cast<float*>(scratch + at_once * matmul_panel_bytes(k));
  _tile_loadconfig(&kTileConfig);
  for (std::size_t g = first_group; g < last_group;) {
    const std::size_t count = std::min(at_once, last_group - g);
    for (std::size_t i = 0; i < count; ++i) {
      Panel panel = panel_at(scratch, k, i);
      fill_panel<T, !kKind.affine>(of.w, g + i, 0, blocks, panel);
    }
    for (std::size_t t = 0; t < tokens; t += kTileRows) {
      const std::size_t first = std::min(t, tokens - kTileRows);
      gather_scales<kKind.affine>(of.x, first, blocks, token_scales);
      const std::int8_t* planes[2] = {of.x.q + first * k, P == 2 ? of.x.low + first * k : nullptr};
      for (std::size_t i = 0; i < count; ++i) {
        alignas(64) float results[kTileInts];
        tile_sums<kKind.affine, P>(panel_at(scratch, k, i), blocks, planes, token_scales, results);
        for (std::size_t n = t - first; n < kTileRows; ++n)
          store_result(load(results + n * kGroupRows), of.w, g + i, first + n, of.out);
      }
    }
    g += count;
  }
  _tile_release();
}

}  // namespace
}  // namespace kvasir::kernels::KVASIR_SIMD
