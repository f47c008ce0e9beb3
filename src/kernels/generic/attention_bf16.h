// Attention with keys, values, queries and weights rounded to bf16 (nearest even) and sums in f32: two
// products a step where the instruction set has a bf16 dot. The order is attention.h's own, with pairs for
// single steps, and so is what it promises. Included after attention.h by the instruction sets that have
// `dot_bf16`.
//
// What it costs in fidelity: docs/decisions/0009-bf16-attention.md.

namespace kvasir::kernels::KVASIR_SIMD {
namespace {

// Pairs of bf16: element 2i in the low half, 2i + 1 in the high one.
using Pair = std::uint32_t;

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

// e^x for x <= 0, as exactly as bf16 can tell: below -87 it flushes near 1e-38.
inline F exp_bf16(F x) {
  x = max(x, set1(-87.0F));
  const F scaled = mul(x, set1(1.44269504F));
  const I n = to_int(scaled);
  // 2^r on [-1/2, 1/2]; the cubic with the smallest relative error, 7.5e-5: a fiftieth of a bf16 step.
  const F r = sub(scaled, to_float(n));
  F p = fma(r, set1(5.517167e-2F), set1(2.4261112e-1F));
  p = fma(p, r, set1(6.9326099e-1F));
  p = fma(p, r, set1(9.9992807e-1F));
  return mul(p, pow2(n));
}

// Turns a row of scores into bf16 weights exp(score - max), in place, zero where it does not see. Returns
// {max, sum of weights}.
inline std::pair<float, float> softmax_row_bf16(float* scores, const SeenPlaces& at) {
  auto* weights = reinterpret_cast<std::uint16_t*>(scores);  // behind what is still to be read
  const float m = row_maximum(scores, at);
  const F top = set1(m);
  F sum[4];
  for (F& s : sum) s = set1(0.0F);
  for (std::size_t i = at.begin; i < at.end; i += 16) {
    F p = set1(0.0F);
    if (i < at.seen && i + 16 > at.hidden) p = mask(exp_bf16(sub(load(scores + i), top)), i, at, 0.0F);
    store_bf16(weights + i, p);
    sum[i / 16 % 4] = add(sum[i / 16 % 4], load_bf16(weights + i));
  }
  return {m, reduce_add(add(add(sum[0], sum[1]), add(sum[2], sum[3])))};
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

// A block's keys, [head_dim / 2][kBlockTokens] pairs of dimensions; places past `keys`, up to a multiple of
// 16, hold anything.
template <KvType kType>
void pair_keys_as(const std::byte* block, const KvHeadLayout& layout, std::size_t head_dim, std::size_t keys,
                  Pair* out) {
  const auto* k = reinterpret_cast<const KvElement<kType>*>(block);
  const auto* scales = reinterpret_cast<const float*>(block + layout.key_scales);
  for (std::size_t d = 0; d < head_dim; d += 2) {
    for (std::size_t i = 0; i < keys; i += 16) {
      F even = load_elements<kType>(k + d * kBlockTokens + i);
      F odd = load_elements<kType>(k + (d + 1) * kBlockTokens + i);
      if constexpr (kType == KvType::kQ8) {
        even = mul(even, load(scales + i));
        odd = mul(odd, load(scales + i));
      }
      store_pairs(out + d / 2 * kBlockTokens + i, even, odd);
    }
  }
}

// The values of a block's first `keys` tokens, [keys / 2 rounded up][value_dim] pairs of keys; of a pair's
// missing key, zeros.
template <KvType kType>
void pair_values_as(const std::byte* block, const KvHeadLayout& layout, std::size_t value_dim,
                    std::size_t keys, Pair* out) {
  const auto* v = reinterpret_cast<const KvElement<kType>*>(block + layout.values);
  const auto* scales = reinterpret_cast<const float*>(block + layout.value_scales);
  const auto value = [&](std::size_t key, std::size_t i) {
    F x = load_elements<kType>(v + key * value_dim + i);
    if constexpr (kType == KvType::kQ8) x = mul(x, set1(scales[key]));
    return x;
  };
  for (std::size_t key = 0; key < keys; key += 2) {
    for (std::size_t i = 0; i < value_dim; i += 16) {
      const F odd = key + 1 < keys ? value(key + 1, i) : set1(0.0F);
      store_pairs(out + key / 2 * value_dim + i, value(key, i), odd);
    }
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
    for_tiles(blocks.first_row(b), rows, [&](auto tile, std::size_t row) {
      float* scores = segment.weights + row * kSegmentKeys + b * kBlockTokens;
      for (std::size_t key = 0; key < kBlockTokens; key += std::size_t{16} * kAttentionVectors)
        score_pairs<tile(), kAttentionVectors>(q + row * d / 2, d / 2, panel, key, scores);
    });
  }
  for (std::size_t r = 0; r < rows; ++r) {
    cap_scores(in, segment.weights + r * kSegmentKeys, blocks.places(r));
    const auto [m, l] = softmax_row_bf16(segment.weights + r * kSegmentKeys, blocks.places(r));
    begin_state(segment, r, m, l);
  }
  constexpr std::size_t kWide = std::size_t{16} * kAttentionVectors;
  for (std::size_t b = blocks.skipped; b < blocks.count; ++b) {
    with_kv_type(in.kv_type, [&](auto t) {
      pair_values_as<t()>(blocks.stored(b), layout, value_dim, blocks.keys(b), panel);
    });
    for_tiles(blocks.first_row(b), rows, [&](auto tile, std::size_t row) {
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
