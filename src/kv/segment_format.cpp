#include "kv/segment_format.h"

#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <type_traits>

#include "base/check.h"

namespace kvasir::kv {
namespace {

constexpr std::string_view kSegmentMagic = "KVASIRSG";
constexpr std::string_view kRecordMagic = "KVASIRRC";
constexpr std::uint32_t kByteOrderMark = 0x01020304;
constexpr std::uint64_t kPathSeed =
    0x6b766173'70617468;  // any constant: it only has to differ from the keys'
constexpr std::size_t kChecksumOffset = kPageBytes - sizeof(Hash128);

// Fields in the order of the format's document. Integers are little-endian whatever the machine is.
class Writer {
 public:
  explicit Writer(Page& page) : page_(page) { page_.fill(std::byte{0}); }

  template <class T>
  void number(T value) {
    auto bits = static_cast<std::make_unsigned_t<T>>(value);
    for (std::size_t i = 0; i < sizeof(T); ++i, bits = static_cast<decltype(bits)>(bits >> 7 >> 1)) {
      page_[at_++] = static_cast<std::byte>(bits & 0xff);
    }
  }
  void hash(const Hash128& value) {
    number(value.low);
    number(value.high);
  }
  // Takes `space` bytes; the rest stays zero.
  void text(std::string_view value, std::size_t space) {
    KVASIR_CHECK(value.size() <= space, "texts fit their field");
    std::memcpy(page_.data() + at_, value.data(), value.size());
    at_ += space;
  }
  void native(std::uint32_t value) {
    std::memcpy(page_.data() + at_, &value, sizeof(value));
    at_ += sizeof(value);
  }
  void seal() {
    const Hash128 sum = checksum(std::span(page_).first(kChecksumOffset));
    at_ = kChecksumOffset;
    hash(sum);
  }

 private:
  Page& page_;
  std::size_t at_ = 0;
};

class Reader {
 public:
  explicit Reader(const Page& page) : page_(page) {}

  template <class T>
  T number() {
    std::make_unsigned_t<T> bits = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i) {
      bits = static_cast<decltype(bits)>(bits | static_cast<decltype(bits)>(page_[at_++]) << (8 * i));
    }
    return static_cast<T>(bits);
  }
  Hash128 hash() {
    const auto low = number<std::uint64_t>();
    return {low, number<std::uint64_t>()};
  }
  std::string text(std::size_t length, std::size_t space) {
    std::string value(reinterpret_cast<const char*>(page_.data() + at_), std::min(length, space));
    at_ += space;
    return value;
  }
  std::uint32_t native() {
    std::uint32_t value = 0;
    std::memcpy(&value, page_.data() + at_, sizeof(value));
    at_ += sizeof(value);
    return value;
  }
  bool sealed() const {
    Reader end(page_);
    end.at_ = kChecksumOffset;
    return end.hash() == checksum(std::span(page_).first(kChecksumOffset));
  }

 private:
  const Page& page_;
  std::size_t at_ = 0;
};

}  // namespace

Hash128 checksum(std::span<const std::byte> bytes) {
  const XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  return {hash.low64, hash.high64};
}

Hash128 root_path(std::string_view root_name, std::string_view name_space) {
  std::string text = std::to_string(root_name.size()) + ':';
  text.append(root_name).append(name_space);
  const XXH128_hash_t hash = XXH3_128bits_withSeed(text.data(), text.size(), kPathSeed);
  return {hash.low64, hash.high64};
}

Hash128 extend_path(const Hash128& parent, std::span<const TokenId> tokens) {
  KVASIR_CHECK(tokens.size() <= kBlockTokens, "a block holds at most kBlockTokens tokens");
  std::array<std::byte, sizeof(Hash128) + kBlockTokens * sizeof(TokenId)> buffer;
  std::memcpy(buffer.data(), &parent, sizeof(Hash128));
  std::memcpy(buffer.data() + sizeof(Hash128), tokens.data(), tokens.size_bytes());
  const XXH128_hash_t hash =
      XXH3_128bits_withSeed(buffer.data(), sizeof(Hash128) + tokens.size_bytes(), kPathSeed);
  return {hash.low64, hash.high64};
}

void encode_segment_header(const SegmentHeader& header, Page& page) {
  Writer out(page);
  out.text(kSegmentMagic, kSegmentMagic.size());
  out.number(kSegmentVersion);
  out.native(kByteOrderMark);
  out.number(static_cast<std::uint32_t>(kPageBytes));
  out.number(kBlockTokens);
  out.number(header.block_bytes);
  out.number(header.id);
  out.number(static_cast<std::uint32_t>(header.root_name.size()));
  out.number(static_cast<std::uint32_t>(header.label.size()));
  out.number(std::uint32_t{0});
  out.number(header.created_unix_seconds);
  out.text(header.root_name, kMostRootNameBytes);
  out.text(header.label, kMostLabelBytes);
  out.seal();
}

PageKind decode_segment_header(const Page& page, SegmentHeader& header) {
  Reader in(page);
  if (in.text(kSegmentMagic.size(), kSegmentMagic.size()) != kSegmentMagic) return PageKind::kUnsound;
  // What follows is for this version to read; another one may have put its checksum elsewhere.
  if (in.number<std::uint32_t>() != kSegmentVersion) return PageKind::kForeign;
  const bool same_order = in.native() == kByteOrderMark;
  if (!in.sealed()) return PageKind::kUnsound;
  const bool same_sizes = in.number<std::uint32_t>() == kPageBytes;
  const bool same_blocks = in.number<std::uint32_t>() == kBlockTokens;
  if (!same_order || !same_sizes || !same_blocks) return PageKind::kForeign;
  header.block_bytes = in.number<std::uint64_t>();
  header.id = in.number<std::uint32_t>();
  const auto root_name_bytes = in.number<std::uint32_t>();
  const auto label_bytes = in.number<std::uint32_t>();
  (void)in.number<std::uint32_t>();
  header.created_unix_seconds = in.number<std::int64_t>();
  if (root_name_bytes > kMostRootNameBytes || label_bytes > kMostLabelBytes) return PageKind::kUnsound;
  header.root_name = in.text(root_name_bytes, kMostRootNameBytes);
  header.label = in.text(label_bytes, kMostLabelBytes);
  return PageKind::kSound;
}

void encode_record_header(const RecordHeader& header, Page& page) {
  KVASIR_CHECK(header.tokens.size() <= kBlockTokens, "a block holds at most kBlockTokens tokens");
  Writer out(page);
  out.text(kRecordMagic, kRecordMagic.size());
  out.number(header.segment);
  out.number(header.first);
  out.number(header.offset);
  out.number(header.payload_bytes);
  out.hash(header.key);
  out.hash(header.parent);
  out.hash(header.parent_path);
  out.hash(header.payload_hash);
  out.number(header.written_unix_seconds);
  out.number(std::bit_cast<std::uint64_t>(header.priority));
  out.number(static_cast<std::uint32_t>(header.tokens.size()));
  out.number(static_cast<std::uint32_t>(header.name_space.size()));
  for (std::size_t i = 0; i < kBlockTokens; ++i) {
    out.number(i < header.tokens.size() ? header.tokens[i] : TokenId{0});
  }
  out.text(header.name_space, kMostNameSpaceBytes);
  out.seal();
}

std::optional<RecordHeader> decode_record_header(const Page& page, std::uint32_t segment,
                                                 std::uint64_t offset) {
  Reader in(page);
  if (in.text(kRecordMagic.size(), kRecordMagic.size()) != kRecordMagic || !in.sealed()) return std::nullopt;
  RecordHeader header;
  header.segment = in.number<std::uint32_t>();
  header.first = in.number<std::uint32_t>();
  header.offset = in.number<std::uint64_t>();
  header.payload_bytes = in.number<std::uint64_t>();
  header.key = in.hash();
  header.parent = in.hash();
  header.parent_path = in.hash();
  header.payload_hash = in.hash();
  header.written_unix_seconds = in.number<std::int64_t>();
  header.priority = std::bit_cast<double>(in.number<std::uint64_t>());
  const auto token_count = in.number<std::uint32_t>();
  const auto name_space_bytes = in.number<std::uint32_t>();
  if (header.segment != segment || header.offset != offset) return std::nullopt;
  if (token_count == 0 || token_count > kBlockTokens || header.first >= token_count) return std::nullopt;
  if (name_space_bytes > kMostNameSpaceBytes) return std::nullopt;
  if (header.payload_bytes == 0 || header.payload_bytes > kMostPayloadBytes) return std::nullopt;
  if (!std::isfinite(header.priority) || header.priority < 0) return std::nullopt;
  header.tokens.resize(token_count);
  for (std::size_t i = 0; i < kBlockTokens; ++i) {
    const auto token = in.number<TokenId>();
    if (i < token_count) header.tokens[i] = token;
  }
  header.name_space = in.text(name_space_bytes, kMostNameSpaceBytes);
  return header;
}

std::string segment_name(std::uint32_t id) {
  std::array<char, 24> text{};
  const int length = std::snprintf(text.data(), text.size(), "seg-%08x.kvs", id);
  return {text.data(), static_cast<std::size_t>(length)};
}

std::optional<std::uint32_t> parse_segment_name(std::string_view name) {
  if (name.size() != 16 || !name.starts_with("seg-") || !name.ends_with(".kvs")) return std::nullopt;
  std::uint32_t id = 0;
  const char* end = name.data() + 12;
  const auto [stop, error] = std::from_chars(name.data() + 4, end, id, 16);
  if (error != std::errc{} || stop != end || segment_name(id) != name) return std::nullopt;
  return id;
}

}  // namespace kvasir::kv
