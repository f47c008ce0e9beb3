// Keys and values into and out of a KV block, in each of its types. Compiled once an instruction set; the
// layout and the rounding are in kv_type.h.

#include <algorithm>
#include <type_traits>

namespace kvasir::kernels::KVASIR_SIMD {
namespace {

template <KvType kType>
using KvElement = std::conditional_t<kType == KvType::kF32, float,
                                     std::conditional_t<kType == KvType::kQ8, std::int8_t, std::uint16_t>>;

// Calls run(std::integral_constant<KvType, type>).
template <class Run>
inline void with_kv_type(KvType type, const Run& run) {
  switch (type) {
    case KvType::kF16:
      return run(std::integral_constant<KvType, KvType::kF16>{});
    case KvType::kBf16:
      return run(std::integral_constant<KvType, KvType::kBf16>{});
    case KvType::kQ8:
      return run(std::integral_constant<KvType, KvType::kQ8>{});
    case KvType::kF32:
      return run(std::integral_constant<KvType, KvType::kF32>{});
  }
}

// 16 elements. Integers of kQ8 come as they are, without their scale.
template <KvType kType>
inline void store_elements(KvElement<kType>* to, F x) {
  if constexpr (kType == KvType::kF16) store_f16(to, x);
  if constexpr (kType == KvType::kBf16) store_bf16(to, x);
  if constexpr (kType == KvType::kQ8) store_i8(to, to_int(x));
  if constexpr (kType == KvType::kF32) store(to, x);
}
template <KvType kType>
inline F load_elements(const KvElement<kType>* from) {
  if constexpr (kType == KvType::kF16) return load_f16(from);
  if constexpr (kType == KvType::kBf16) return load_bf16(from);
  if constexpr (kType == KvType::kQ8) return load_i8(from);
  if constexpr (kType == KvType::kF32) return load(from);
}

template <KvType kType>
inline F clamp_kv(F x) {
  return min(max(x, set1(-largest_kv(kType))), set1(largest_kv(kType)));
}

// Writes the scale of one token's x (n) to `scale` and returns what to multiply x by.
inline float choose_scale(const float* x, std::size_t n, float* scale) {
  F largest = set1(0.0F);
  for (std::size_t i = 0; i < n; i += 16) largest = max(largest, abs(clamp_kv<KvType::kQ8>(load(x + i))));
  const float m = reduce_max(largest);
  const bool zero = m < kSmallestScaledKv;
  *scale = zero ? 0.0F : m / 127.0F;
  return zero ? 0.0F : 127.0F / m;
}

template <KvType kType>
void store_kv_as(const float* k, const float* v, std::size_t head_dim, std::size_t value_dim,
                 std::size_t slot, std::byte* block) {
  const KvHeadLayout layout = kv_head_layout(kType, head_dim, value_dim);
  auto* keys = reinterpret_cast<KvElement<kType>*>(block);
  auto* values = reinterpret_cast<KvElement<kType>*>(block + layout.values) + slot * value_dim;
  F k_factor = set1(1.0F);
  F v_factor = set1(1.0F);
  if constexpr (kType == KvType::kQ8) {
    k_factor = set1(choose_scale(k, head_dim, reinterpret_cast<float*>(block + layout.key_scales) + slot));
    v_factor = set1(choose_scale(v, value_dim, reinterpret_cast<float*>(block + layout.value_scales) + slot));
  }
  // Multiplying by 1 is exact.
  for (std::size_t i = 0; i < head_dim; i += 16) {
    KvElement<kType> lanes[16];
    store_elements<kType>(lanes, mul(clamp_kv<kType>(load(k + i)), k_factor));
    for (std::size_t j = 0; j < 16; ++j) keys[(i + j) * kBlockTokens + slot] = lanes[j];
  }
  for (std::size_t i = 0; i < value_dim; i += 16)
    store_elements<kType>(values + i, mul(clamp_kv<kType>(load(v + i)), v_factor));
}

void store_kv(KvType type, const float* k, const float* v, std::size_t head_dim, std::size_t value_dim,
              std::size_t slot, std::byte* block) {
  with_kv_type(type, [&](auto t) { store_kv_as<t()>(k, v, head_dim, value_dim, slot, block); });
}

// A block's keys as floats, [head_dim][kBlockTokens]: the first `keys` of them; places past those, up to a
// multiple of 16, hold anything.
template <KvType kType>
void widen_keys_as(const std::byte* block, const KvHeadLayout& layout, std::size_t head_dim, std::size_t keys,
                   float* out) {
  const auto* k = reinterpret_cast<const KvElement<kType>*>(block);
  const auto* scales = reinterpret_cast<const float*>(block + layout.key_scales);
  for (std::size_t d = 0; d < head_dim; ++d) {
    for (std::size_t i = 0; i < keys; i += 16) {
      F x = load_elements<kType>(k + d * kBlockTokens + i);
      if constexpr (kType == KvType::kQ8) x = mul(x, load(scales + i));
      store(out + d * kBlockTokens + i, x);
    }
  }
}

// The values of a block's first `keys` tokens as floats, [keys][value_dim].
template <KvType kType>
void widen_values_as(const std::byte* block, const KvHeadLayout& layout, std::size_t value_dim,
                     std::size_t keys, float* out) {
  const auto* v = reinterpret_cast<const KvElement<kType>*>(block + layout.values);
  const auto* scales = reinterpret_cast<const float*>(block + layout.value_scales);
  for (std::size_t key = 0; key < keys; ++key) {
    for (std::size_t i = key * value_dim; i < (key + 1) * value_dim; i += 16) {
      F x = load_elements<kType>(v + i);
      if constexpr (kType == KvType::kQ8) x = mul(x, set1(scales[key]));
      store(out + i, x);
    }
  }
}

inline void widen_keys(const AttentionInput& in, const std::byte* block, std::size_t keys, float* out) {
  const KvHeadLayout layout = kv_head_layout(in.kv_type, in.head_dim, in.value_dim);
  with_kv_type(in.kv_type, [&](auto t) { widen_keys_as<t()>(block, layout, in.head_dim, keys, out); });
}
inline void widen_values(const AttentionInput& in, const std::byte* block, std::size_t keys, float* out) {
  const KvHeadLayout layout = kv_head_layout(in.kv_type, in.head_dim, in.value_dim);
  with_kv_type(in.kv_type, [&](auto t) { widen_values_as<t()>(block, layout, in.value_dim, keys, out); });
}

}  // namespace
}  // namespace kvasir::kernels::KVASIR_SIMD
