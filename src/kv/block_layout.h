#pragma once
// Where a block's tokens lie: which bytes of a block belong to which of its tokens. The executor says it as
// data (executor::Description::kv_layout), so that this layer can move the KV of some tokens of a block
// without knowing what it means.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/types.h"

namespace kvasir::kv {

// `rows` rows, row_stride bytes apart; in each, token t of the block owns the bytes
// [t * token_bytes, (t + 1) * token_bytes). A row is kBlockTokens * token_bytes long.
struct BlockRegion {
  std::size_t offset = 0;  // of the first row in the block
  std::size_t rows = 0;
  std::size_t row_stride = 0;
  std::size_t token_bytes = 0;
};

// The regions of a block do not overlap; bytes that are in none mean nothing.
using BlockLayout = std::vector<BlockRegion>;

// Bytes that `tokens` tokens take, packed.
std::size_t packed_bytes(const BlockLayout& layout, std::uint32_t tokens);

// Copies the KV of tokens [first, last) of `block` to `out` (packed_bytes(layout, last - first)): regions in
// order, rows in order, tokens in order.
void pack_tokens(const BlockLayout& layout, std::span<const std::byte> block, std::uint32_t first,
                 std::uint32_t last, std::span<std::byte> out);
// The reverse; leaves the block's other tokens alone.
void unpack_tokens(const BlockLayout& layout, std::span<const std::byte> packed, std::uint32_t first,
                   std::uint32_t last, std::span<std::byte> block);

}  // namespace kvasir::kv
