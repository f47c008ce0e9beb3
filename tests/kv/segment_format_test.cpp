// The bytes are those of docs/formats/kv-segment.md, and nothing else is taken for them.

#include "kv/segment_format.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

namespace kvasir::kv {
namespace {

RecordHeader some_record() {
  RecordHeader header;
  header.segment = 7;
  header.offset = 3 * kPageBytes;
  header.key = {1, 2};
  header.parent = {3, 4};
  header.parent_path = {5, 6};
  header.first = 2;
  header.tokens = {10, 11, 0x12345678};
  header.name_space = "team";
  header.payload_bytes = 123;
  header.payload_hash = {7, 8};
  header.written_unix_seconds = 1700000000;
  header.priority = 1.5;
  return header;
}

std::uint64_t number_at(const Page& page, std::size_t at, std::size_t bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < bytes; ++i) value |= static_cast<std::uint64_t>(page[at + i]) << (8 * i);
  return value;
}

std::string text_at(const Page& page, std::size_t at, std::size_t bytes) {
  return {reinterpret_cast<const char*>(page.data() + at), bytes};
}

TEST(SegmentFormat, ASegmentHeaderRoundTrips) {
  SegmentHeader header;
  header.id = 42;
  header.block_bytes = 786432;
  header.created_unix_seconds = -5;
  header.root_name = std::string(kMostRootNameBytes, 'r');
  header.label = "a model";
  Page page;
  encode_segment_header(header, page);
  SegmentHeader read;
  ASSERT_EQ(decode_segment_header(page, read), PageKind::kSound);
  EXPECT_EQ(read.id, header.id);
  EXPECT_EQ(read.block_bytes, header.block_bytes);
  EXPECT_EQ(read.created_unix_seconds, header.created_unix_seconds);
  EXPECT_EQ(read.root_name, header.root_name);
  EXPECT_EQ(read.label, header.label);
}

TEST(SegmentFormat, ARecordHeaderRoundTrips) {
  const RecordHeader header = some_record();
  Page page;
  encode_record_header(header, page);
  const auto read = decode_record_header(page, 7, 3 * kPageBytes);
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->key, header.key);
  EXPECT_EQ(read->parent, header.parent);
  EXPECT_EQ(read->parent_path, header.parent_path);
  EXPECT_EQ(read->first, header.first);
  EXPECT_EQ(read->tokens, header.tokens);
  EXPECT_EQ(read->name_space, header.name_space);
  EXPECT_EQ(read->payload_bytes, header.payload_bytes);
  EXPECT_EQ(read->payload_hash, header.payload_hash);
  EXPECT_EQ(read->written_unix_seconds, header.written_unix_seconds);
  EXPECT_EQ(read->priority, header.priority);
}

TEST(SegmentFormat, FieldsLieWhereTheDocumentSays) {
  Page page;
  encode_record_header(some_record(), page);
  EXPECT_EQ(text_at(page, 0, 8), "KVASIRRC");
  EXPECT_EQ(number_at(page, 8, 4), 7U);
  EXPECT_EQ(number_at(page, 12, 4), 2U);
  EXPECT_EQ(number_at(page, 16, 8), 3 * kPageBytes);
  EXPECT_EQ(number_at(page, 24, 8), 123U);
  EXPECT_EQ(number_at(page, 32, 8), 1U);
  EXPECT_EQ(number_at(page, 48, 8), 3U);
  EXPECT_EQ(number_at(page, 64, 8), 5U);
  EXPECT_EQ(number_at(page, 80, 8), 7U);
  EXPECT_EQ(number_at(page, 96, 8), 1700000000U);
  EXPECT_EQ(number_at(page, 104, 8), 0x3ff8000000000000U);
  EXPECT_EQ(number_at(page, 112, 4), 3U);
  EXPECT_EQ(number_at(page, 116, 4), 4U);
  EXPECT_EQ(number_at(page, 128, 4), 0x12345678U);
  EXPECT_EQ(text_at(page, 376, 4), "team");
  SegmentHeader header;
  header.id = 9;
  header.block_bytes = 5;
  header.root_name = "root";
  header.label = "label";
  encode_segment_header(header, page);
  EXPECT_EQ(text_at(page, 0, 8), "KVASIRSG");
  EXPECT_EQ(number_at(page, 8, 4), 1U);
  EXPECT_EQ(number_at(page, 16, 4), 4096U);
  EXPECT_EQ(number_at(page, 20, 4), 64U);
  EXPECT_EQ(number_at(page, 24, 8), 5U);
  EXPECT_EQ(number_at(page, 32, 4), 9U);
  EXPECT_EQ(text_at(page, 56, 5), std::string("root\0", 5));
  EXPECT_EQ(text_at(page, 3128, 6), std::string("label\0", 6));
}

TEST(SegmentFormat, AHeaderIsBelievedOnlyInItsPlace) {
  Page page;
  encode_record_header(some_record(), page);
  EXPECT_FALSE(decode_record_header(page, 8, 3 * kPageBytes).has_value());
  EXPECT_FALSE(decode_record_header(page, 7, 4 * kPageBytes).has_value());
}

TEST(SegmentFormat, EveryBitOfAHeaderIsCovered) {
  Page record;
  encode_record_header(some_record(), record);
  Page segment;
  encode_segment_header({9, 5, 6, "root", "label"}, segment);
  for (std::size_t bit = 0; bit < kPageBytes * 8; ++bit) {
    const auto flip = static_cast<std::byte>(1 << (bit % 8));
    record[bit / 8] ^= flip;
    segment[bit / 8] ^= flip;
    SegmentHeader read;
    ASSERT_FALSE(decode_record_header(record, 7, 3 * kPageBytes).has_value()) << bit;
    ASSERT_NE(decode_segment_header(segment, read), PageKind::kSound) << bit;
    record[bit / 8] ^= flip;
    segment[bit / 8] ^= flip;
  }
}

TEST(SegmentFormat, BoundsAreCheckedBehindTheChecksumToo) {
  std::mt19937_64 random(3);
  for (int i = 0; i < 20000; ++i) {
    Page page;
    encode_record_header(some_record(), page);
    for (int change = 0; change < 4; ++change) page[8 + random() % 130] = static_cast<std::byte>(random());
    const Hash128 sum = checksum(std::span(page).first(kPageBytes - 16));
    std::memcpy(page.data() + kPageBytes - 16, &sum, 16);
    const auto read = decode_record_header(page, 7, 3 * kPageBytes);
    if (!read) continue;
    ASSERT_TRUE(!read->tokens.empty() && read->tokens.size() <= kBlockTokens);
    ASSERT_LT(read->first, read->tokens.size());
    ASSERT_LE(read->name_space.size(), kMostNameSpaceBytes);
    ASSERT_TRUE(read->payload_bytes > 0 && read->payload_bytes <= kMostPayloadBytes);
  }
}

TEST(SegmentFormat, OnlySegmentNamesAreSegments) {
  EXPECT_EQ(segment_name(0x2a), "seg-0000002a.kvs");
  EXPECT_EQ(parse_segment_name("seg-0000002a.kvs"), 0x2aU);
  for (const char* name : {"seg-0000002A.kvs", "seg-+000002a.kvs", "seg-2a.kvs", "seg-0000002a.kvs.new",
                           "lock", "", "seg-0000002g.kvs"}) {
    EXPECT_FALSE(parse_segment_name(name).has_value()) << name;
  }
}

}  // namespace
}  // namespace kvasir::kv
