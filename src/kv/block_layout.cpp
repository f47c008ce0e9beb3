#include "kv/block_layout.h"

#include <cstring>

#include "base/check.h"

namespace kvasir::kv {

std::size_t packed_bytes(const BlockLayout& layout, std::uint32_t tokens) {
  std::size_t bytes = 0;
  for (const BlockRegion& region : layout) bytes += region.rows * region.token_bytes * tokens;
  return bytes;
}

void pack_tokens(const BlockLayout& layout, std::span<const std::byte> block, std::uint32_t first,
                 std::uint32_t last, std::span<std::byte> out) {
  KVASIR_CHECK(first <= last && last <= kBlockTokens && out.size() == packed_bytes(layout, last - first),
               "packed tokens fit their room");
  std::byte* to = out.data();
  for (const BlockRegion& region : layout) {
    const std::size_t bytes = (last - first) * region.token_bytes;
    for (std::size_t row = 0; row < region.rows; ++row, to += bytes) {
      std::memcpy(to, block.data() + region.offset + row * region.row_stride + first * region.token_bytes,
                  bytes);
    }
  }
}

void unpack_tokens(const BlockLayout& layout, std::span<const std::byte> packed, std::uint32_t first,
                   std::uint32_t last, std::span<std::byte> block) {
  KVASIR_CHECK(first <= last && last <= kBlockTokens && packed.size() == packed_bytes(layout, last - first),
               "packed tokens fit their room");
  const std::byte* from = packed.data();
  for (const BlockRegion& region : layout) {
    const std::size_t bytes = (last - first) * region.token_bytes;
    for (std::size_t row = 0; row < region.rows; ++row, from += bytes) {
      std::memcpy(block.data() + region.offset + row * region.row_stride + first * region.token_bytes, from,
                  bytes);
    }
  }
}

}  // namespace kvasir::kv
