// What attention in bf16 is made of, however its products are computed: keys and values as pairs of bf16, and
// the softmax between them. Included after attention.h by the instruction sets that have a bf16 dot.

namespace kvasir::kernels::KVASIR_SIMD {
namespace {

// Pairs of bf16: element 2i in the low half, 2i + 1 in the high one.
using Pair = std::uint32_t;

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

}  // namespace
}  // namespace kvasir::kernels::KVASIR_SIMD
