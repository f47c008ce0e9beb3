#pragma once
// The types in which keys and values are kept, and where they lie in a KV block.
//
// One layer and one KV head of a block is, in this order:
//   K        [head_dim][kBlockTokens] elements  (transposed: lanes own keys)
//   V        [kBlockTokens][value_dim] elements  (lanes own dimensions)
//   scales   f32 [kBlockTokens] of K, then f32 [kBlockTokens] of V    (kQ8 only)

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/types.h"

namespace kvasir::kernels {

// All round to nearest even. Values are finite always (see kLargestKv): an infinity in a later token's V must
// not reach an earlier row through 0 * inf.
enum class KvType : std::uint8_t {
  kF16,
  kBf16,  // the range of f32, 8 bits of precision
  // int8 with one scale for each token, for K and V each: of a token's values x,
  // scale = max|x| / 127 and q = round(x * (127 / max|x|)), all in f32; zeros where max|x| <
  // kSmallestScaledKv.
  kQ8,
  kF32,  // the reference that the others are measured against
};

// What a value is clamped to before it is stored: what f16 can hold, and elsewhere a number whose products
// with ordinary queries f32 can hold.
constexpr float largest_kv(KvType t) {
  return t == KvType::kF16 ? 65504.0F : 1e30F;
}
// Its inverse is still finite.
inline constexpr float kSmallestScaledKv = 1e-30F;

constexpr std::string_view name_of(KvType t) {
  switch (t) {
    case KvType::kF16:
      return "f16";
    case KvType::kBf16:
      return "bf16";
    case KvType::kQ8:
      return "q8";
    case KvType::kF32:
      break;
  }
  return "f32";
}

constexpr std::size_t kv_element_bytes(KvType t) {
  if (t == KvType::kF32) return sizeof(float);
  return t == KvType::kQ8 ? sizeof(std::int8_t) : sizeof(std::uint16_t);
}

// Byte offsets of the parts of one layer and KV head; keys are at 0.
struct KvHeadLayout {
  std::size_t values = 0;
  std::size_t key_scales = 0;    // = bytes where the type has no scales
  std::size_t value_scales = 0;  // = bytes where the type has no scales
  std::size_t bytes = 0;         // of all parts
};

constexpr KvHeadLayout kv_head_layout(KvType t, std::size_t head_dim, std::size_t value_dim) {
  const std::size_t row = kBlockTokens * kv_element_bytes(t);
  const std::size_t scales = t == KvType::kQ8 ? kBlockTokens * sizeof(float) : 0;
  const std::size_t elements = (head_dim + value_dim) * row;
  return {head_dim * row, elements, elements + scales, elements + 2 * scales};
}

}  // namespace kvasir::kernels
