#pragma once
// Words that every layer shares. No layer passes a bare int for one of these.

#include <cstddef>
#include <cstdint>

namespace kvasir {

// Index into a model's vocabulary. Never negative for a real token.
using TokenId = std::int32_t;
inline constexpr TokenId kNoToken = -1;

// Index of a block in one kv::BlockPool.
enum class BlockId : std::uint32_t {};
constexpr std::uint32_t index_of(BlockId id) {
  return static_cast<std::uint32_t>(id);
}

// Tokens in one KV block, over all layers. Fixed for the whole process: block keys, the on-disk format and
// the attention kernels' fixed reduction order all depend on it.
inline constexpr std::uint32_t kBlockTokens = 64;

}  // namespace kvasir
