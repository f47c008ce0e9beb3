// Attention in bf16 on tile registers (AMX): attention_bf16.h with tiles of 16 rows times 16 keys, or 16
// dimensions, over 32 of what is summed. A tile's elements do not know each other, and what is summed
// together is fixed by position, so a row's bits do not depend on which rows share its tile, as everywhere;
// they are not those of the vector unit's bf16 dots, which round after every pair.
//
// Included by avx512amx.cpp alone, behind bf16_pairs.h.

namespace kvasir::kernels::KVASIR_SIMD {
namespace {

constexpr std::size_t kTileDots = 32;    // bf16 of a tile's row
constexpr std::size_t kTilesAtOnce = 4;  // tiles of sums: registers 0 to 3; 4 holds rows, 5 what they meet

constexpr TileConfig attention_tiles() {
  TileConfig config;
  for (std::size_t i = 0; i < 6; ++i) {
    config.rows[i] = kTileRows;
    config.row_bytes[i] = 64;
  }
  return config;
}
alignas(64) constexpr TileConfig kAttentionTiles = attention_tiles();

constexpr std::size_t round_up(std::size_t n, std::size_t unit) {
  return (n + unit - 1) / unit * unit;
}

// Registers are named by constants: f(std::integral_constant) for each of the first `count` tiles of sums.
template <class F0>
inline void each_tile(std::size_t count, const F0& f) {
  f(std::integral_constant<int, 0>{});
  if (count > 1) f(std::integral_constant<int, 1>{});
  if (count > 2) f(std::integral_constant<int, 2>{});
  if (count > 3) f(std::integral_constant<int, 3>{});
}
template <int kTile>
inline void multiply_tile() {
  if constexpr (kTile == 0) _tile_dpbf16ps(0, 4, 5);
  if constexpr (kTile == 1) _tile_dpbf16ps(1, 4, 5);
  if constexpr (kTile == 2) _tile_dpbf16ps(2, 4, 5);
  if constexpr (kTile == 3) _tile_dpbf16ps(3, 4, 5);
}
template <int kTile>
inline void store_tile(float* to, std::size_t stride_bytes) {
  if constexpr (kTile == 0) _tile_stored(0, to, stride_bytes);
  if constexpr (kTile == 1) _tile_stored(1, to, stride_bytes);
  if constexpr (kTile == 2) _tile_stored(2, to, stride_bytes);
  if constexpr (kTile == 3) _tile_stored(3, to, stride_bytes);
}
template <int kTile>
inline void load_tile(const float* from, std::size_t stride_bytes) {
  if constexpr (kTile == 0) _tile_loadd(0, from, stride_bytes);
  if constexpr (kTile == 1) _tile_loadd(1, from, stride_bytes);
  if constexpr (kTile == 2) _tile_loadd(2, from, stride_bytes);
  if constexpr (kTile == 3) _tile_loadd(3, from, stride_bytes);
}
inline void zero_tiles() {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
}

// scores (16 rows, row stride kSegmentKeys) of a block's first `keys` keys, in whole tiles of 16. q: 16 rows
// of `dims` bf16; panel (dims / 2, kBlockTokens) pairs.
inline void score_tile(const std::uint16_t* q, std::size_t dims, const Pair* panel, std::size_t keys,
                       float* scores) {
  const std::size_t tiles = (keys + 15) / 16;
  zero_tiles();
  for (std::size_t d = 0; d < dims; d += kTileDots) {
    _tile_loadd(4, q + d, dims * sizeof(std::uint16_t));
    each_tile(tiles, [&](auto tile) {
      _tile_loadd(5, panel + d / 2 * kBlockTokens + std::size_t{tile()} * 16, kBlockTokens * sizeof(Pair));
      multiply_tile<tile()>();
    });
  }
  each_tile(tiles, [&](auto tile) {
    store_tile<tile()>(scores + std::size_t{tile()} * 16, kSegmentKeys * sizeof(float));
  });
}

// Adds to the sums of 16 rows (row stride sum_stride floats) the weighted values of a block's first `keys`
// keys, in whole steps of kTileDots. weights: bf16, row stride kSegmentKeys floats; panel (keys / 2,
// value_dim) pairs.
inline void weigh_tile(const Pair* weights, const Pair* panel, std::size_t keys, std::size_t value_dim,
                       float* sums, std::size_t sum_stride) {
  for (std::size_t first = 0; first < value_dim; first += kTilesAtOnce * 16) {
    const std::size_t tiles = std::min((value_dim - first) / 16, kTilesAtOnce);
    each_tile(tiles, [&](auto tile) {
      load_tile<tile()>(sums + first + std::size_t{tile()} * 16, sum_stride * sizeof(float));
    });
    for (std::size_t key = 0; key < keys; key += kTileDots) {
      _tile_loadd(4, weights + key / 2, kSegmentKeys * sizeof(float));
      each_tile(tiles, [&](auto tile) {
        _tile_loadd(5, panel + key / 2 * value_dim + first + std::size_t{tile()} * 16,
                    value_dim * sizeof(Pair));
        multiply_tile<tile()>();
      });
    }
    each_tile(tiles, [&](auto tile) {
      store_tile<tile()>(sums + first + std::size_t{tile()} * 16, sum_stride * sizeof(float));
    });
  }
}

// The same for the last rows, fewer than 16: what the tile has beside them must not be written.
inline void weigh_last_rows(const Pair* weights, const Pair* panel, std::size_t keys, std::size_t value_dim,
                            float* sums, std::size_t sum_stride, std::size_t rows) {
  alignas(64) float tile[kTileRows * kMaxHeadDim];
  for (std::size_t r = 0; r < rows; ++r) std::copy_n(sums + r * sum_stride, value_dim, tile + r * value_dim);
  std::fill(tile + rows * value_dim, tile + kTileRows * value_dim, 0.0F);
  weigh_tile(weights, panel, keys, value_dim, tile, value_dim);
  for (std::size_t r = 0; r < rows; ++r) std::copy_n(tile + r * value_dim, value_dim, sums + r * sum_stride);
}

void attention_segment_tiles(const AttentionInput& in, std::size_t first_block, std::size_t last_block,
                             float* states, std::byte* scratch) {
  const std::size_t d = in.head_dim;
  const std::size_t dims = round_up(d, kTileDots);
  const std::size_t value_dim = in.value_dim;
  const std::size_t rows = in.tokens * in.heads;
  const std::size_t all_rows = round_up(rows, kTileRows);
  const KvHeadLayout layout = kv_head_layout(in.kv_type, d, value_dim);
  auto* panel = reinterpret_cast<Pair*>(scratch);
  auto* q = reinterpret_cast<std::uint16_t*>(panel + std::max(dims, value_dim) / 2 * kBlockTokens);
  const SegmentRows segment{in, first_block * kBlockTokens, states,
                            reinterpret_cast<float*>(q + all_rows * dims)};
  const SegmentBlocks blocks(segment, first_block, last_block);

  // Rows behind the last fill its tile.
  std::fill_n(q + rows * dims, (all_rows - rows) * dims, std::uint16_t{0});
  for (std::size_t r = 0; r < rows; ++r) {
    std::uint16_t* to = q + r * dims;
    for (std::size_t i = 0; i < d; i += 16) store_bf16(to + i, load(segment.q(r) + i));
    std::fill(to + d, to + dims, std::uint16_t{0});
  }
  if (d != dims) std::fill_n(panel + d / 2 * kBlockTokens, (dims - d) / 2 * kBlockTokens, Pair{0});
  _tile_loadconfig(&kAttentionTiles);
  for (std::size_t b = blocks.skipped; b < blocks.count; ++b) {
    with_kv_type(in.kv_type,
                 [&](auto t) { pair_keys_as<t()>(blocks.stored(b), layout, d, blocks.keys(b), panel); });
    for (std::size_t row = blocks.first_row(b) / kTileRows * kTileRows; row < rows; row += kTileRows) {
      score_tile(q + row * dims, dims, panel, blocks.keys(b),
                 segment.weights + row * kSegmentKeys + b * kBlockTokens);
    }
  }
  std::fill_n(segment.weights + rows * kSegmentKeys, (all_rows - rows) * kSegmentKeys, 0.0F);
  softmax_rows(segment, blocks, softmax_row_bf16);
  const std::size_t state = attention_state_floats(value_dim);
  for (std::size_t b = blocks.skipped; b < blocks.count; ++b) {
    const std::size_t keys = round_up(blocks.keys(b), kTileDots);
    with_kv_type(in.kv_type, [&](auto t) {
      pair_values_as<t()>(blocks.stored(b), layout, value_dim, blocks.keys(b), panel);
    });
    const std::size_t pairs = (blocks.keys(b) + 1) / 2;
    std::fill_n(panel + pairs * value_dim, (keys / 2 - pairs) * value_dim, Pair{0});
    for (std::size_t row = blocks.first_row(b) / kTileRows * kTileRows; row < rows; row += kTileRows) {
      const Pair* weights =
          reinterpret_cast<const Pair*>(segment.weights + row * kSegmentKeys) + b * kBlockTokens / 2;
      if (row + kTileRows <= rows)
        weigh_tile(weights, panel, keys, value_dim, segment.sums(row), state);
      else
        weigh_last_rows(weights, panel, keys, value_dim, segment.sums(row), state, rows - row);
    }
  }
  _tile_release();
}

}  // namespace
}  // namespace kvasir::kernels::KVASIR_SIMD
