// Attention with keys, values, queries and weights rounded to bf16 (nearest even) and sums in f32: two
// products a step where the instruction set has a bf16 dot. The order is attention.h's own, with pairs for
// single steps, and so is what it promises. Included after bf16_pairs.h.
//
// What it costs in fidelity: docs/decisions/0009-bf16-attention.md.

namespace kvasir::kernels::KVASIR_SIMD {
namespace {

// scores[r][key] += q_r . k_key over pairs of head dimensions; keys (head_dim / 2, kBlockTokens) pairs.
template <int R, int V>
inline void score_pairs(const Pair* q, std::size_t pairs, const Pair* keys, std::size_t key, float* scores) {
  F sum[R][V];
  for (auto& of_row : sum) {
    for (F& s : of_row) s = set1(0.0F);
  }
  for (std::size_t d = 0; d < pairs; ++d) {
    P k[V];
    for (int i = 0; i < V; ++i)
      k[i] = load_pairs(keys + d * kBlockTokens + key + static_cast<std::size_t>(i) * 16);
    for (int r = 0; r < R; ++r) {
      const P factor = set1_pair(q[static_cast<std::size_t>(r) * pairs + d]);
      for (int i = 0; i < V; ++i) sum[r][i] = dot_bf16(sum[r][i], factor, k[i]);
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int i = 0; i < V; ++i)
      store(scores + static_cast<std::size_t>(r) * kSegmentKeys + key + static_cast<std::size_t>(i) * 16,
            sum[r][i]);
  }
}

// Adds the weighted values of `pairs` pairs of keys, 16 * V dimensions from `first` on, to the rows' sums.
template <int R, int V>
inline void weigh_pairs(const Pair* weights, const Pair* values, std::size_t pairs, std::size_t value_dim,
                        std::size_t first, float* out) {
  const std::size_t state = attention_state_floats(value_dim);
  F sum[R][V];
  for (int r = 0; r < R; ++r) {
    for (int i = 0; i < V; ++i)
      sum[r][i] = load(out + static_cast<std::size_t>(r) * state + static_cast<std::size_t>(i) * 16);
  }
  for (std::size_t pair = 0; pair < pairs; ++pair) {
    P v[V];
    for (int i = 0; i < V; ++i)
      v[i] = load_pairs(values + pair * value_dim + first + static_cast<std::size_t>(i) * 16);
    for (int r = 0; r < R; ++r) {
      const P weight = set1_pair(weights[static_cast<std::size_t>(r) * kSegmentKeys + pair]);
      for (int i = 0; i < V; ++i) sum[r][i] = dot_bf16(sum[r][i], weight, v[i]);
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int i = 0; i < V; ++i)
      store(out + static_cast<std::size_t>(r) * state + static_cast<std::size_t>(i) * 16, sum[r][i]);
  }
}

void attention_segment_bf16(const AttentionInput& in, std::size_t first_block, std::size_t last_block,
                            float* states, std::byte* scratch) {
  const std::size_t d = in.head_dim;
  const std::size_t value_dim = in.value_dim;
  const std::size_t rows = in.tokens * in.heads;
  const KvHeadLayout layout = kv_head_layout(in.kv_type, d, value_dim);
  auto* panel = reinterpret_cast<Pair*>(scratch);
  Pair* q = panel + std::max(d, value_dim) / 2 * kBlockTokens;
  const SegmentRows segment{in, first_block * kBlockTokens, states,
                            reinterpret_cast<float*>(q + rows * d / 2)};
  const SegmentBlocks blocks(segment, first_block, last_block);

  for (std::size_t r = 0; r < rows; ++r) {
    auto* to = reinterpret_cast<std::uint16_t*>(q + r * d / 2);
    for (std::size_t i = 0; i < d; i += 16) store_bf16(to + i, load(segment.q(r) + i));
  }
  for (std::size_t b = blocks.skipped; b < blocks.count; ++b) {
    with_kv_type(in.kv_type,
                 [&](auto t) { pair_keys_as<t()>(blocks.stored(b), layout, d, blocks.keys(b), panel); });
    for_tiles<kAttentionRows>(blocks.first_row(b), rows, [&](auto tile, std::size_t row) {
      float* scores = segment.weights + row * kSegmentKeys + b * kBlockTokens;
      for (std::size_t key = 0; key < kBlockTokens; key += std::size_t{16} * kAttentionVectors)
        score_pairs<tile(), kAttentionVectors>(q + row * d / 2, d / 2, panel, key, scores);
    });
  }
  softmax_rows(segment, blocks, softmax_row_bf16);
  constexpr std::size_t kWide = std::size_t{16} * kAttentionVectors;
  for (std::size_t b = blocks.skipped; b < blocks.count; ++b) {
    with_kv_type(in.kv_type, [&](auto t) {
      pair_values_as<t()>(blocks.stored(b), layout, value_dim, blocks.keys(b), panel);
    });
    for_tiles<kAttentionRows>(blocks.first_row(b), rows, [&](auto tile, std::size_t row) {
      const Pair* weights =
          reinterpret_cast<const Pair*>(segment.weights + row * kSegmentKeys) + b * kBlockTokens / 2;
      const std::size_t keys =
          segment.seen(row + tile() - 1, segment.first_key + b * kBlockTokens, kBlockTokens);
      float* out = segment.sums(row);
      std::size_t i = 0;
      for (; i + kWide <= value_dim; i += kWide)
        weigh_pairs<tile(), kAttentionVectors>(weights, panel, (keys + 1) / 2, value_dim, i, out + i);
      for (; i < value_dim; i += 16)
        weigh_pairs<tile(), 1>(weights, panel, (keys + 1) / 2, value_dim, i, out + i);
    });
  }
}

}  // namespace
}  // namespace kvasir::kernels::KVASIR_SIMD
