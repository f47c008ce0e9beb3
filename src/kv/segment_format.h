#pragma once
// The bytes of a segment file, docs/formats/kv-segment.md as code: headers to and from pages. Pure functions;
// whatever a page holds, decoding it reads nothing outside it and says what is wrong with it.

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/types.h"
#include "kv/prefix_tree.h"

namespace kvasir::kv {

inline constexpr std::uint32_t kSegmentVersion = 1;
inline constexpr std::uint64_t kPageBytes = 4096;
inline constexpr std::size_t kMostRootNameBytes = 3072;
inline constexpr std::size_t kMostLabelBytes = 512;
inline constexpr std::size_t kMostNameSpaceBytes = 256;
// Far above any block; keeps sums of offsets from running over.
inline constexpr std::uint64_t kMostPayloadBytes = std::uint64_t{1} << 40;

using Page = std::array<std::byte, kPageBytes>;

// A 128-bit hash of any kind: checksums, and the path hash below.
using Hash128 = BlockKey;
Hash128 checksum(std::span<const std::byte> bytes);

// A second name of a path from the root, independent of the keys: a record is linked to a parent only where
// both agree, so that a colliding key function costs a miss here too.
Hash128 root_path(std::string_view root_name, std::string_view name_space);
Hash128 extend_path(const Hash128& parent, std::span<const TokenId> tokens);

constexpr std::uint64_t round_to_pages(std::uint64_t bytes) {
  return (bytes + kPageBytes - 1) / kPageBytes * kPageBytes;
}
// The space that a record takes in its segment.
constexpr std::uint64_t record_extent(std::uint64_t payload_bytes) {
  return kPageBytes + round_to_pages(payload_bytes);
}

struct SegmentHeader {
  std::uint32_t id = 0;
  std::uint64_t block_bytes = 0;
  std::int64_t created_unix_seconds = 0;
  std::string root_name;
  std::string label;
};

struct RecordHeader {
  std::uint32_t segment = 0;
  std::uint64_t offset = 0;  // of this header in the segment
  BlockKey key;
  BlockKey parent;  // the full block that this one continues, or the namespace's root
  Hash128 parent_path;
  std::uint32_t first = 0;
  std::vector<TokenId> tokens;  // the block's, from its start
  std::string name_space;
  std::uint64_t payload_bytes = 0;
  Hash128 payload_hash;
  std::int64_t written_unix_seconds = 0;
  double priority = 0;  // when it was written
};

enum class PageKind {
  kSound,
  kForeign,  // a segment of another format version, byte order or block size
  kUnsound,
};

// Both need names within the bounds above.
void encode_segment_header(const SegmentHeader& header, Page& page);
void encode_record_header(const RecordHeader& header, Page& page);
PageKind decode_segment_header(const Page& page, SegmentHeader& header);
// nullopt unless the page holds the header of a record that lies at `offset` of segment `segment`.
std::optional<RecordHeader> decode_record_header(const Page& page, std::uint32_t segment,
                                                 std::uint64_t offset);

std::string segment_name(std::uint32_t id);                              // "seg-0000002a.kvs"
std::optional<std::uint32_t> parse_segment_name(std::string_view name);  // nullopt: no segment

}  // namespace kvasir::kv
