// Flash-style attention over paged KV blocks (Dao et al., "FlashAttention", 2022), in a fixed order: each
// block has its own maximum, block results merge left to right. Compiled once an instruction set; see
// kernels.h for the contract.
//
// Places past a row's last key are masked to p = 0; a masked key adds exactly nothing, so a row's bits do not
// depend on which rows share its tile.

#include <algorithm>
#include <limits>

namespace kvasir::kernels::KVASIR_SIMD {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();
constexpr int kKeyVectors = static_cast<int>(kBlockTokens / 16);

template <int R>
struct Tile {
  const float* q[R];
  int valid[R];     // keys of this block that the row sees
  float* state[R];  // attention_state_floats
  int keys;         // most of `valid`
};

// scores[r][key] = q_r . k_key, keys in lanes, head dimensions in order.
template <int R, int V>
inline void score_vectors(const Tile<R>& tile, const FloatBlock& block, std::size_t head_dim, int first,
                          float (*scores)[kBlockTokens]) {
  F sum[R][V];
  for (auto& row : sum) {
    for (F& s : row) s = set1(0.0F);
  }
  for (std::size_t d = 0; d < head_dim; ++d) {
    F k[V];
    for (int i = 0; i < V; ++i)
      k[i] = load(block.k + d * kBlockTokens + static_cast<std::size_t>(first + i) * 16);
    for (int r = 0; r < R; ++r) {
      const F q = set1(tile.q[r][d]);
      for (int i = 0; i < V; ++i) sum[r][i] = fma(q, k[i], sum[r][i]);
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int i = 0; i < V; ++i) store(scores[r] + (first + i) * 16, sum[r][i]);
  }
}

// Turns a row of scores into p = exp(score - max), zero where masked. Returns {max, sum of p}.
inline std::pair<float, float> softmax_row(float* scores, int valid, int vectors) {
  F best = set1(kMinusInfinity);
  for (int i = 0; i < vectors; ++i) {
    best = max(best, keep_first(load(scores + 16 * i), std::clamp(valid - 16 * i, 0, 16), kMinusInfinity));
  }
  const float m = reduce_max(best);
  F p[kKeyVectors];
  for (int i = 0; i < kKeyVectors; ++i) {
    p[i] = set1(0.0F);
    if (i < vectors) {
      p[i] = keep_first(exp(sub(load(scores + 16 * i), set1(m))), std::clamp(valid - 16 * i, 0, 16), 0.0F);
    }
    store(scores + 16 * i, p[i]);
  }
  return {m, reduce_add(add(add(p[0], p[1]), add(p[2], p[3])))};
}

// The dimensions [first, last) of into (+) a part with maximum m, whose values are given by value(i) for the
// 16 dimensions from i on.
template <class Value>
inline void merge_part(float* into, float m, std::size_t first, std::size_t last, const Value& value) {
  float* o = into + 16;
  const float old_m = into[0];
  const float old_l = into[1];
  if (old_l == 0.0F) {
    for (std::size_t i = first; i < last; i += 16) store(o + i, value(i));
    return;
  }
  const float new_m = old_m > m ? old_m : m;
  float lanes[16];
  store(lanes, exp(set1(old_m - new_m)));
  const F keep = set1(lanes[0]);
  store(lanes, exp(set1(m - new_m)));
  const F take = set1(lanes[0]);
  for (std::size_t i = first; i < last; i += 16) store(o + i, fma(value(i), take, mul(load(o + i), keep)));
}

// The scalars of a merge, after all dimensions are merged.
inline void merge_scalars(float* into, float m, float l) {
  const float old_m = into[0];
  const float old_l = into[1];
  if (old_l == 0.0F) {
    into[0] = m;
    into[1] = l;
    return;
  }
  const float new_m = old_m > m ? old_m : m;
  float keep[16];
  float take[16];
  store(keep, exp(set1(old_m - new_m)));
  store(take, exp(set1(m - new_m)));
  into[0] = new_m;
  into[1] = old_l * keep[0] + l * take[0];
}

// Weighted values of V vectors of dimensions from `first` on, merged into the rows' states.
template <int R, int V>
inline void weigh_values(const Tile<R>& tile, const FloatBlock& block, std::size_t head_dim,
                         std::size_t first, const float (*p)[kBlockTokens],
                         const std::pair<float, float>* ml) {
  F sum[R][V];
  for (auto& row : sum) {
    for (F& s : row) s = set1(0.0F);
  }
  for (int key = 0; key < tile.keys; ++key) {
    F v[V];
    for (int i = 0; i < V; ++i) {
      v[i] =
          load(block.v + static_cast<std::size_t>(key) * head_dim + first + static_cast<std::size_t>(i) * 16);
    }
    for (int r = 0; r < R; ++r) {
      const F weight = set1(p[r][key]);
      for (int i = 0; i < V; ++i) sum[r][i] = fma(weight, v[i], sum[r][i]);
    }
  }
  for (int r = 0; r < R; ++r) {
    if (tile.valid[r] == 0) continue;
    merge_part(tile.state[r], ml[r].first, first, first + V * 16,
               [&](std::size_t i) { return sum[r][(i - first) / 16]; });
  }
}

template <int R>
void attend_tile(const Tile<R>& tile, const FloatBlock& block, std::size_t head_dim) {
  alignas(64) float scores[R][kBlockTokens];
  const int vectors = (tile.keys + 15) / 16;
  if (vectors == kKeyVectors) {
    score_vectors<R, kKeyVectors>(tile, block, head_dim, 0, scores);
  } else {
    for (int i = 0; i < vectors; ++i) score_vectors<R, 1>(tile, block, head_dim, i, scores);
  }
  std::pair<float, float> ml[R];
  for (int r = 0; r < R; ++r) ml[r] = softmax_row(scores[r], tile.valid[r], vectors);
  std::size_t d = 0;
  for (; d + 64 <= head_dim; d += 64) weigh_values<R, 4>(tile, block, head_dim, d, scores, ml);
  for (; d < head_dim; d += 16) weigh_values<R, 1>(tile, block, head_dim, d, scores, ml);
  for (int r = 0; r < R; ++r) {
    if (tile.valid[r] > 0) merge_scalars(tile.state[r], ml[r].first, ml[r].second);
  }
}

template <int R>
void attend_rows(const AttentionInput& in, std::size_t row, std::size_t block_index, const FloatBlock& block,
                 float* states) {
  Tile<R> tile;
  tile.keys = 0;
  const auto block_start = static_cast<std::int64_t>(block_index * kBlockTokens);
  for (int r = 0; r < R; ++r) {
    const std::size_t token = (row + static_cast<std::size_t>(r)) / in.heads;
    const std::size_t head = (row + static_cast<std::size_t>(r)) % in.heads;
    const auto seen = static_cast<std::int64_t>(in.position + token) + 1 - block_start;
    tile.q[r] = in.q + token * in.q_token_stride + head * in.q_head_stride;
    tile.valid[r] = static_cast<int>(std::clamp<std::int64_t>(seen, 0, kBlockTokens));
    tile.state[r] = states + (row + static_cast<std::size_t>(r)) * attention_state_floats(in.head_dim);
    tile.keys = std::max(tile.keys, tile.valid[r]);
  }
  if (tile.keys > 0) attend_tile<R>(tile, block, in.head_dim);
}

template <int R>
void attend_tail(const AttentionInput& in, std::size_t row, std::size_t left, std::size_t block_index,
                 const FloatBlock& block, float* states) {
  if constexpr (R > 0) {
    if (left == static_cast<std::size_t>(R))
      attend_rows<R>(in, row, block_index, block, states);
    else
      attend_tail<R - 1>(in, row, left, block_index, block, states);
  }
}

void attention_segment(const AttentionInput& in, std::size_t first_block, std::size_t last_block,
                       float* states, std::byte* scratch) {
  const std::size_t rows = in.tokens * in.heads;
  for (std::size_t r = 0; r < rows; ++r) {
    float* state = states + r * attention_state_floats(in.head_dim);
    state[0] = kMinusInfinity;
    state[1] = 0.0F;
  }
  auto* floats = reinterpret_cast<float*>(scratch);
  const FloatBlock block{floats, floats + in.head_dim * kBlockTokens};
  const auto end = static_cast<std::int64_t>(in.position + in.tokens);  // keys that the last token sees
  for (std::size_t b = first_block; b < last_block; ++b) {
    const auto keys = std::min<std::int64_t>(end - static_cast<std::int64_t>(b * kBlockTokens), kBlockTokens);
    if (keys <= 0) break;
    widen(in.kv_type, in.kv_base + index_of(in.blocks[b]) * in.kv_block_bytes + in.kv_offset, in.head_dim,
          static_cast<std::size_t>(keys), block);
    std::size_t row = 0;
    for (; row + kAttentionRows <= rows; row += kAttentionRows)
      attend_rows<kAttentionRows>(in, row, b, block, states);
    attend_tail<kAttentionRows - 1>(in, row, rows - row, b, block, states);
  }
}

void attention_merge(float* into, const float* next, std::size_t head_dim) {
  if (next[1] == 0.0F) return;
  merge_part(into, next[0], 0, head_dim, [&](std::size_t i) { return load(next + 16 + i); });
  merge_scalars(into, next[0], next[1]);
}

void attention_finish(const float* state, std::size_t head_dim, float* out) {
  const F l = set1(state[1]);
  for (std::size_t i = 0; i < head_dim; i += 16) store(out + i, div(load(state + 16 + i), l));
}

}  // namespace
}  // namespace kvasir::kernels::KVASIR_SIMD
