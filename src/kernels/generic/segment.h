// What the ways through a segment of attention share: its rows, its blocks, the places that a row sees, and
// how scores turn into weights. Compiled once an instruction set, before attention.h, attention_few.h and
// those in bf16.

#include <algorithm>
#include <limits>
#include <utility>

namespace kvasir::kernels::KVASIR_SIMD {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();
constexpr std::size_t kSegmentKeys = kSegmentBlocks * kBlockTokens;

// What the rows of one segment share, and where they are kept meanwhile.
struct SegmentRows {
  const AttentionInput& in;
  std::size_t first_key;  // of the segment
  float* states;          // (rows, attention_state_floats)
  float* weights;         // (rows, kSegmentKeys): scores, then weights

  std::size_t rows() const { return in.tokens * in.heads; }
  const float* q(std::size_t row) const {
    return in.q + row / in.heads * in.q_token_stride + row % in.heads * in.q_head_stride;
  }
  float* sums(std::size_t row) const { return states + row * attention_state_floats(in.value_dim) + 16; }
  // Where the keys that a row sees end, counted from `first`, at most `most`.
  std::size_t seen(std::size_t row, std::size_t first, std::size_t most) const {
    const std::size_t end = in.position + row / in.heads + 1;
    return end > first ? std::min(end - first, most) : 0;
  }
  // Keys from `first` on that lie before a row's window, at most `most`.
  std::size_t hidden(std::size_t row, std::size_t first, std::size_t most) const {
    const std::size_t end = in.position + row / in.heads + 1;
    const std::size_t begin = in.window != 0 && end > in.window ? end - in.window : 0;
    return begin > first ? std::min(begin - first, most) : 0;
  }
};

// Of a row's scores in a segment: [begin, end) are looked at, [hidden, seen) are not masked.
struct SeenPlaces {
  std::size_t hidden, seen, begin, end;
};

// The blocks of a segment that any row sees: [skipped, count).
struct SegmentBlocks {
  SegmentBlocks(const SegmentRows& of, std::size_t first_block, std::size_t last_block)
      : segment(of),
        first(first_block),
        all_keys(of.seen(of.rows() - 1, of.first_key, (last_block - first_block) * kBlockTokens)),
        skipped(of.hidden(0, of.first_key, all_keys) / kBlockTokens),
        count((all_keys + kBlockTokens - 1) / kBlockTokens) {}

  const std::byte* stored(std::size_t block) const {
    const AttentionInput& in = segment.in;
    return in.kv_base + index_of(in.blocks[first + block]) * in.kv_block_bytes + in.kv_offset;
  }
  // Keys of a block that the last row sees.
  std::size_t keys(std::size_t block) const {
    return std::min<std::size_t>(all_keys - block * kBlockTokens, kBlockTokens);
  }
  // The first row that sees any of a block.
  std::size_t first_row(std::size_t block) const {
    const std::size_t begin = segment.first_key + block * kBlockTokens;
    return begin > segment.in.position ? (begin - segment.in.position) * segment.in.heads : 0;
  }
  // The places of the segment that a row sees, and those that any row may have scores in.
  SeenPlaces places(std::size_t row) const {
    return {segment.hidden(row, segment.first_key, all_keys), segment.seen(row, segment.first_key, all_keys),
            skipped * kBlockTokens, count * kBlockTokens};
  }

  const SegmentRows& segment;
  std::size_t first;
  std::size_t all_keys;
  std::size_t skipped;  // blocks that lie before every row's window
  std::size_t count;
};

// A row's state before its values are summed up.
inline void begin_state(const SegmentRows& segment, std::size_t row, float m, float l) {
  float* sums = segment.sums(row);
  sums[-16] = m;
  sums[-15] = l;
  for (std::size_t d = 0; d < segment.in.value_dim; d += 16) store(sums + d, set1(0.0F));
}

// The lanes of the places from `i` on that a row does not see become `rest`.
inline F mask(F x, std::size_t i, const SeenPlaces& at, float rest) {
  if (at.seen - i < 16) x = keep_first(x, static_cast<int>(at.seen - i), rest);
  if (i < at.hidden) {  // once a row at most
    float lanes[16];
    store(lanes, x);
    std::fill(lanes, lanes + std::min<std::size_t>(at.hidden - i, 16), rest);
    x = load(lanes);
  }
  return x;
}

// The largest of the scores that a row sees.
inline float row_maximum(const float* scores, const SeenPlaces& at) {
  F best[4];
  for (F& b : best) b = set1(kMinusInfinity);
  for (std::size_t i = at.hidden / 16 * 16; i < at.seen; i += 16)
    best[i / 16 % 4] = max(best[i / 16 % 4], mask(load(scores + i), i, at, kMinusInfinity));
  return reduce_max(max(max(best[0], best[1]), max(best[2], best[3])));
}

inline void cap_scores(const AttentionInput& in, float* scores, const SeenPlaces& at) {
  if (in.soft_cap > 0.0F) soft_cap(scores + at.begin, in.soft_cap, at.end - at.begin);
}

// Turns a row of scores into weights exp(score - max), zero where it does not see. Returns {max, sum of
// weights}.
inline std::pair<float, float> softmax_row(float* scores, const SeenPlaces& at) {
  const float m = row_maximum(scores, at);
  const F top = set1(m);
  F sum[4];
  for (F& s : sum) s = set1(0.0F);
  for (std::size_t i = at.begin; i < at.end; i += 16) {
    F p = set1(0.0F);
    if (i < at.seen && i + 16 > at.hidden) {
      p = mask(exp(sub(load(scores + i), top)), i, at, 0.0F);
      sum[i / 16 % 4] = add(sum[i / 16 % 4], p);
    }
    store(scores + i, p);
  }
  return {m, reduce_add(add(add(sum[0], sum[1]), add(sum[2], sum[3])))};
}

// Turns the scores of a segment's rows into weights, by softmax_row or one like it, and begins the rows'
// states.
template <class SoftmaxRow>
inline void softmax_rows(const SegmentRows& segment, const SegmentBlocks& blocks, const SoftmaxRow& softmax) {
  for (std::size_t r = 0; r < segment.rows(); ++r) {
    float* scores = segment.weights + r * kSegmentKeys;
    const SeenPlaces at = blocks.places(r);
    cap_scores(segment.in, scores, at);
    const auto [m, l] = softmax(scores, at);
    begin_state(segment, r, m, l);
  }
}

// scores[r][key] = q_r . k_key for 16 * V keys from `key` on of a block; keys in lanes, head dimensions in
// order. Keys has load(d, key, F[V]).
template <int R, int V, class Keys>
inline void score_keys(const SegmentRows& segment, std::size_t row, Keys& keys, std::size_t key,
                       float* scores) {
  const float* q[R];
  for (int r = 0; r < R; ++r) q[r] = segment.q(row + static_cast<std::size_t>(r));
  F sum[R][V];
  for (auto& of_row : sum) {
    for (F& s : of_row) s = set1(0.0F);
  }
  for (std::size_t d = 0; d < segment.in.head_dim; ++d) {
    F k[V];
    keys.load(d, key, k);
    for (int r = 0; r < R; ++r) {
      const F factor = set1(q[r][d]);
      for (int i = 0; i < V; ++i) sum[r][i] = fma(factor, k[i], sum[r][i]);
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int i = 0; i < V; ++i)
      store(scores + static_cast<std::size_t>(r) * kSegmentKeys + key + static_cast<std::size_t>(i) * 16,
            sum[r][i]);
  }
}

// Adds the weighted values of a block's first `keys` keys, 16 * V dimensions from `first` on, to the rows'
// sums. Values has load(key, first, F[V]).
template <int R, int V, class Values>
inline void weigh_values(const SegmentRows& segment, std::size_t row, Values& values, std::size_t keys,
                         std::size_t first, const float* weights) {
  const std::size_t state = attention_state_floats(segment.in.value_dim);
  float* out = segment.states + row * state + 16 + first;
  F sum[R][V];
  for (int r = 0; r < R; ++r) {
    for (int i = 0; i < V; ++i)
      sum[r][i] = load(out + static_cast<std::size_t>(r) * state + static_cast<std::size_t>(i) * 16);
  }
  for (std::size_t key = 0; key < keys; ++key) {
    F v[V];
    values.load(key, first, v);
    for (int r = 0; r < R; ++r) {
      const F weight = set1(weights[static_cast<std::size_t>(r) * kSegmentKeys + key]);
      for (int i = 0; i < V; ++i) sum[r][i] = fma(weight, v[i], sum[r][i]);
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int i = 0; i < V; ++i)
      store(out + static_cast<std::size_t>(r) * state + static_cast<std::size_t>(i) * 16, sum[r][i]);
  }
}

// Calls run(std::integral_constant<int, R>, row) for tiles of R rows that cover [first, last): kMost
// each, and what is left over in even parts, since a tile of one row waits for its own sums.
template <int R, class Run>
inline void small_tile(std::size_t row, std::size_t count, const Run& run) {
  if constexpr (R > 0) {
    if (count == static_cast<std::size_t>(R))
      run(std::integral_constant<int, R>{}, row);
    else
      small_tile<R - 1>(row, count, run);
  }
}
template <int kMost, class Run>
inline void for_tiles(std::size_t first, std::size_t last, const Run& run) {
  constexpr std::size_t most = kMost;
  while (first < last) {
    const std::size_t left = last - first;
    const std::size_t count = left > most && left < 2 * most ? (left + 1) / 2 : std::min(left, most);
    small_tile<kMost>(first, count, run);
    first += count;
  }
}

}  // namespace
}  // namespace kvasir::kernels::KVASIR_SIMD
