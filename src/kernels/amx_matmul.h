// Matrix products on tile registers (AMX): 16 tokens times 16 rows times a block of K in one instruction,
// exact like every integer dot. The float steps are matmul.h's own, so the bits are those of all other
// kernels. Of a tile of sums only whole blocks are left to the vector unit, which takes half of the time.
//
// Tokens that do not fill the last tile share it with the ones before, which are computed twice and stored
// once. Included by avx512amx.cpp alone.

#include <algorithm>

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

// Tile registers: 0 holds sums, 1 tokens, 2 weights of a block.
constexpr TileConfig tile_config() {
  TileConfig config;
  for (const std::size_t i : {0, 1, 2}) {
    config.rows[i] = i == 2 ? kSteps : kTileRows;
    config.row_bytes[i] = i == 1 ? kBlockK : 64;
  }
  return config;
}
// Not a local one: GCC's intrinsic does not say that it reads all 64 bytes.
alignas(64) constexpr TileConfig kTileConfig = tile_config();

// The sums of 16 tokens and 16 rows over block b, [plane][token][row]. kSigned: how weights are read.
template <bool kSigned, int P>
inline void dot_block(const std::byte* weights, const std::int8_t* const* planes, std::size_t b,
                      std::size_t stride, std::int32_t* sums) {
  _tile_loadd(2, weights + b * kPanelBlockBytes, 64);
  for (std::size_t p = 0; p < P; ++p) {
    _tile_zero(0);
    _tile_loadd(1, planes[p] + b * kBlockK, stride);
    if constexpr (kSigned)
      _tile_dpbssd(0, 1, 2);
    else
      _tile_dpbsud(0, 1, 2);
    _tile_stored(0, sums + p * kTileInts, 64);
  }
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

// Sums that wait to be scaled: what a tile stores can be loaded once it has left the core's store buffer,
// which takes a while. 4 KiB in all, since a load waits for an earlier store whose address ends in the same
// 12 bits.
constexpr std::size_t kWaitingTiles = 4;

// The products of 16 tokens with a panel's 16 rows: results (tokens, rows).
template <bool kAffine, int P>
inline void tile_sums(const Panel& panel, std::size_t blocks, const std::int8_t* const* planes,
                      const float* token_scales, float* results) {
  constexpr std::size_t kScales = panel_scales({kAffine, 1, false});
  constexpr std::size_t kTokenScales = kTileRows * (kAffine ? 2 : 1);
  constexpr std::size_t kRing = kWaitingTiles / P;
  constexpr std::size_t kAhead = kRing / 2;
  alignas(64) std::int32_t dots[kWaitingTiles * kTileInts];
  const auto dot_some = [&](std::size_t first) {
    for (std::size_t b = first; b < std::min(first + kAhead, blocks); ++b)
      dot_block<!kAffine, P>(panel.bytes, planes, b, blocks * kBlockK, dots + b % kRing * P * kTileInts);
  };
  F sums[kTileRows];
  for (F& s : sums) s = set1(0.0F);
  dot_some(0);
  for (std::size_t first = 0; first < blocks; first += kAhead) {
    dot_some(first + kAhead);
    for (std::size_t b = first; b < std::min(first + kAhead, blocks); ++b) {
      const float* of_tokens = token_scales + b * kTokenScales;
      const F d = load(panel.scales + kScales * b);
      const F m = kAffine ? load(panel.scales + kScales * b + kGroupRows) : d;
      const std::int32_t* of_block = dots + b % kRing * P * kTileInts;
#pragma GCC unroll 16
      for (std::size_t n = 0; n < kTileRows; ++n) {
        I whole = _mm512_load_si512(of_block + n * kGroupRows);
        if constexpr (P == 2)
          whole = join_planes(whole, _mm512_load_si512(of_block + kTileInts + n * kGroupRows));
        sums[n] = fma(mul(to_float(whole), d), set1(of_tokens[n]), sums[n]);
        if constexpr (kAffine) sums[n] = fma(m, set1(of_tokens[kTileRows + n]), sums[n]);
      }
    }
  }
#pragma GCC unroll 16
  for (std::size_t n = 0; n < kTileRows; ++n) store(results + n * kGroupRows, sums[n]);
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
    for (std::size_t i = 0; i < count; ++i)
      fill_panel<T, !kKind.affine>(of.w, g + i, panel_at(scratch, k, i));
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
