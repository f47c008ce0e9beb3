// Flash-style attention over paged KV blocks (Dao et al., "FlashAttention", 2022), in a fixed order: a
// segment of kSegmentBlocks blocks has one maximum, values are summed key by key through it, segments merge
// left to right. Compiled once an instruction set; see kernels.h for the contract.
//
// A segment is gone through three times for all rows together: keys give scores, scores turn into weights,
// weights sum up values. So a block of keys or values is widened once for many rows and stays in the
// first-level cache, and the sums need no rescaling on the way.
//
// Few rows go another way to the same bits: attention_few.h.
//
// Places past a row's last key, and those before its window, are masked to weight 0; a masked key adds
// exactly nothing, so a row's bits do not depend on which rows share its tile. Blocks before every row's
// window are not looked at.

namespace kvasir::kernels::KVASIR_SIMD {
namespace {

// A block that was widened, of `columns` floats a row: a dimension's keys, or a key's values.
struct Widened {
  const float* panel;
  std::size_t columns;

  template <int V>
  void load(std::size_t row, std::size_t first, F (&x)[V]) const {
    for (int i = 0; i < V; ++i)
      x[i] = KVASIR_SIMD::load(panel + row * columns + first + static_cast<std::size_t>(i) * 16);
  }
};

void score_block(const SegmentRows& segment, std::size_t block, std::size_t first_row, const float* panel) {
  const Widened keys{panel, kBlockTokens};
  for_tiles<kAttentionRows>(first_row, segment.rows(), [&](auto rows, std::size_t row) {
    float* scores = segment.weights + row * kSegmentKeys + block * kBlockTokens;
    for (std::size_t key = 0; key < kBlockTokens; key += std::size_t{16} * kAttentionVectors)
      score_keys<rows(), kAttentionVectors>(segment, row, keys, key, scores);
  });
}

void weigh_block(const SegmentRows& segment, std::size_t block, std::size_t first_row, const float* panel) {
  const std::size_t value_dim = segment.in.value_dim;
  const Widened values{panel, value_dim};
  constexpr std::size_t kWide = std::size_t{16} * kAttentionVectors;
  for_tiles<kAttentionRows>(first_row, segment.rows(), [&](auto rows, std::size_t row) {
    const float* weights = segment.weights + row * kSegmentKeys + block * kBlockTokens;
    const std::size_t keys =
        segment.seen(row + rows() - 1, segment.first_key + block * kBlockTokens, kBlockTokens);
    std::size_t d = 0;
    for (; d + kWide <= value_dim; d += kWide)
      weigh_values<rows(), kAttentionVectors>(segment, row, values, keys, d, weights);
    for (; d < value_dim; d += 16) weigh_values<rows(), 1>(segment, row, values, keys, d, weights);
  });
}

void attention_many(const AttentionInput& in, std::size_t first_block, std::size_t last_block, float* states,
                    std::byte* scratch) {
  auto* panel = reinterpret_cast<float*>(scratch);
  const SegmentRows segment{in, first_block * kBlockTokens, states,
                            panel + std::max(in.head_dim, in.value_dim) * kBlockTokens};
  const SegmentBlocks blocks(segment, first_block, last_block);
  for (std::size_t b = blocks.skipped; b < blocks.count; ++b) {
    widen_keys(in, blocks.stored(b), blocks.keys(b), panel);
    score_block(segment, b, blocks.first_row(b), panel);
  }
  softmax_rows(segment, blocks, softmax_row);
  for (std::size_t b = blocks.skipped; b < blocks.count; ++b) {
    widen_values(in, blocks.stored(b), blocks.keys(b), panel);
    weigh_block(segment, b, blocks.first_row(b), panel);
  }
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

void attention_merge(float* into, const float* next, std::size_t value_dim) {
  if (next[1] == 0.0F) return;
  merge_part(into, next[0], 0, value_dim, [&](std::size_t i) { return load(next + 16 + i); });
  merge_scalars(into, next[0], next[1]);
}

void attention_finish(const float* state, std::size_t value_dim, float* out) {
  const F l = set1(state[1]);
  for (std::size_t i = 0; i < value_dim; i += 16) store(out + i, div(load(state + 16 + i), l));
}

}  // namespace
}  // namespace kvasir::kernels::KVASIR_SIMD
