// Matrix products on tile registers (AMX): 16 tokens times 16 rows times a block of K in one instruction,
// exact like every integer dot. The float steps are matmul.h's own, so the bits are those of all other
// kernels. Of a tile of sums only whole blocks are left to the vector unit, which takes half of the time.
//
// Tokens that do not fill the last tile share it with the ones before, which are computed twice and stored
// once. Included by avx512amx.cpp alone.

#include <algorithm>
#include <cstring>

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

// Tile registers: sums of a block (0) or of its halves (1); tokens and weights of a whole block (4, 5), of a
// half (6, 7).
constexpr TileConfig tile_config() {
  TileConfig config;
  for (std::size_t i = 0; i < 8; ++i) {
    const bool sums = i < 4;
    const int block_bytes = i < 6 ? 32 : 16;
    const bool tokens = i % 2 == 0;
    config.rows[i] = static_cast<std::uint8_t>(sums || tokens ? 16 : block_bytes / 4);
    config.row_bytes[i] = static_cast<std::uint16_t>(!sums && tokens ? block_bytes : 64);
  }
  return config;
}
// Not a local one: GCC's intrinsic does not say that it reads all 64 bytes.
alignas(64) constexpr TileConfig kTileConfig = tile_config();

// The sums of one block of 16 tokens and 16 rows, [half][plane][token][row]. kSigned: how weights are read.
template <bool kSigned, int kHalves, int P>
inline void dot_block(const std::byte* weights, const std::int8_t* const* planes, std::size_t stride,
                      std::int32_t* sums) {
  for (int p = 0; p < P; ++p) {
    if constexpr (kHalves == 1) {
      if (p == 0) _tile_loadd(5, weights, 64);
      _tile_loadd(4, planes[p], stride);
      _tile_zero(0);
      if constexpr (kSigned)
        _tile_dpbssd(0, 4, 5);
      else
        _tile_dpbsud(0, 4, 5);
      _tile_stored(0, sums + static_cast<std::size_t>(p) * kTileInts, 64);
    } else {
      for (int h = 0; h < 2; ++h) {
        _tile_loadd(7, weights + 256 * h, 64);
        _tile_loadd(6, planes[p] + 16 * h, stride);
        _tile_zero(1);
        if constexpr (kSigned)
          _tile_dpbssd(1, 6, 7);
        else
          _tile_dpbsud(1, 6, 7);
        _tile_stored(1, sums + static_cast<std::size_t>(h * P + p) * kTileInts, 64);
      }
    }
  }
}

// What the 16 tokens from `token` on are multiplied by: of each block their scales, then, for affine weights,
// their scaled sums of each half, 16 floats each.
template <bool kAffine, int kHalves>
void gather_scales(const QuantizedRows& x, std::size_t token, std::size_t blocks, float* to) {
  for (std::size_t b = 0; b < blocks; ++b) {
    for (std::size_t n = 0; n < kTileRows; ++n) to[n] = x.scale[(token + n) * blocks + b];
    to += kTileRows;
    if constexpr (kAffine) {
      for (std::size_t h = 0; h < kHalves; ++h) {
        for (std::size_t n = 0; n < kTileRows; ++n)
          to[n] = scaled_sum<kHalves>(x, (token + n) * blocks + b, h);
        to += kTileRows;
      }
    }
  }
}

template <bool kAffine, int kHalves, int P>
inline void tile_sums(const Panel& panel, std::size_t blocks, const std::int8_t* const* first_planes,
                      const float* token_scales, F (&sums)[kTileRows]) {
  constexpr std::size_t kScales = panel_scales({kAffine, kHalves, false});
  constexpr std::size_t kTokenScales = kTileRows * (1 + (kAffine ? kHalves : 0));
  const std::size_t stride = blocks * kBlockK;
  // A block's dots are under way while those before it are scaled.
  alignas(64) std::int32_t dots[2][static_cast<std::size_t>(kHalves * P) * kTileInts];
  const std::int8_t* planes[P];
  std::copy_n(first_planes, P, planes);
  for (F& s : sums) s = set1(0.0F);
  dot_block<!kAffine, kHalves, P>(panel.bytes, planes, stride, dots[0]);
  for (std::size_t b = 0; b < blocks; ++b) {
    if (b + 1 < blocks) {
      for (const std::int8_t*& p : planes) p += kBlockK;
      dot_block<!kAffine, kHalves, P>(panel.bytes + (b + 1) * kPanelBlockBytes, planes, stride,
                                      dots[(b + 1) % 2]);
    }
    const float* of_tokens = token_scales + b * kTokenScales;
    for (std::size_t h = 0; h < kHalves; ++h) {
      const float* scales = panel.scales + kScales * b + kScales / kHalves * h;
      const F d = load(scales);
      const std::int32_t* of_half = dots[b % 2] + h * P * kTileInts;
#pragma GCC unroll 16
      for (std::size_t n = 0; n < kTileRows; ++n) {
        I whole = _mm512_load_si512(of_half + n * kGroupRows);
        if constexpr (P == 2)
          whole = join_planes(whole, _mm512_load_si512(of_half + kTileInts + n * kGroupRows));
        sums[n] = fma(mul(to_float(whole), d), set1(of_tokens[n]), sums[n]);
        if constexpr (kAffine)
          sums[n] = fma(load(scales + kGroupRows), set1(of_tokens[kTileRows * (1 + h) + n]), sums[n]);
      }
    }
  }
}

struct Product {
  const PackedMatrix& w;
  const QuantizedRows& x;
  const MatmulOutput& out;
};

// For at least kTileRows tokens.
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
      gather_scales<kKind.affine, kKind.halves>(of.x, first, blocks, token_scales);
      const std::int8_t* planes[2] = {of.x.q + first * k, P == 2 ? of.x.low + first * k : nullptr};
      for (std::size_t i = 0; i < count; ++i) {
        F sums[kTileRows];
        tile_sums<kKind.affine, kKind.halves, P>(panel_at(scratch, k, i), blocks, planes, token_scales, sums);
        for (std::size_t n = t - first; n < kTileRows; ++n)
          store_result(sums[n], of.w, g + i, first + n, of.out);
      }
    }
    g += count;
  }
  _tile_release();
}

}  // namespace
}  // namespace kvasir::kernels::KVASIR_SIMD
