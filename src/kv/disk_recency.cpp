#include "kv/disk_recency.h"

#include <array>
#include <bit>
#include <cmath>
#include <cstdio>
#include <cstring>

namespace kvasir::kv {
namespace {

constexpr std::string_view kMagic = "KVASIRRE";
constexpr std::size_t kHeaderBytes = 32;  // magic, version, zero, entries, clock
constexpr std::size_t kEntryBytes = 24;   // segment, zero, offset, priority
constexpr std::size_t kSumBytes = 16;

void put(std::vector<std::byte>& out, std::uint64_t value) {
  for (int i = 0; i < 8; ++i) out.push_back(static_cast<std::byte>(value >> (8 * i) & 0xff));
}

std::uint64_t get(std::span<const std::byte> bytes, std::size_t at) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < 8; ++i) value |= static_cast<std::uint64_t>(bytes[at + i]) << (8 * i);
  return value;
}

std::vector<std::byte> encode(const DiskIndex& index) {
  const auto recency = index.recency();
  std::vector<std::byte> out;
  out.reserve(kHeaderBytes + recency.size() * kEntryBytes + kSumBytes);
  for (const char c : kMagic) out.push_back(static_cast<std::byte>(c));
  put(out, kSegmentVersion);
  put(out, recency.size());
  put(out, std::bit_cast<std::uint64_t>(index.clock()));
  for (const auto& one : recency) {
    put(out, one.segment);
    put(out, one.offset);
    put(out, std::bit_cast<std::uint64_t>(one.priority));
  }
  const Hash128 sum = checksum(out);
  put(out, sum.low);
  put(out, sum.high);
  return out;
}

}  // namespace

std::string recency_name(std::string_view root_name) {
  std::array<char, 40> text{};
  const auto hash = hash_root(root_name, {});
  const int length = std::snprintf(text.data(), text.size(), "recency-%016llx.kvr",
                                   static_cast<unsigned long long>(hash.low));
  return {text.data(), static_cast<std::size_t>(length)};
}

Status save_recency(FileSystem& files, const std::string& folder, std::string_view root_name,
                    const DiskIndex& index) {
  const std::string path = path_in(folder, recency_name(root_name));
  const std::string fresh = path + ".new";
  (void)files.remove(fresh).ok();
  {
    KVASIR_ASSIGN_OR_RETURN(const auto file, files.open(fresh, OpenMode::kCreateNew));
    KVASIR_RETURN_IF_ERROR(file->write_at(0, encode(index)));
  }
  return files.rename(fresh, path);
}

void load_recency(FileSystem& files, const std::string& folder, std::string_view root_name,
                  DiskIndex& index) {
  const auto file = files.open(path_in(folder, recency_name(root_name)), OpenMode::kRead);
  if (!file.ok()) return;
  const auto size = (*file)->size();
  if (!size.ok() || *size < kHeaderBytes + kSumBytes) return;
  const std::uint64_t entries = (*size - kHeaderBytes - kSumBytes) / kEntryBytes;
  // It may list records that are gone, but not many times more than there are: bounds the memory for it.
  if (kHeaderBytes + entries * kEntryBytes + kSumBytes != *size || entries > 1024 + 64 * index.records()) {
    return;
  }
  std::vector<std::byte> bytes(*size);
  const auto got = (*file)->read_at(0, bytes);
  if (!got.ok() || *got != bytes.size()) return;
  const auto body = std::span(bytes).first(bytes.size() - kSumBytes);
  if (checksum(body) != Hash128{get(bytes, body.size()), get(bytes, body.size() + 8)}) return;
  if (std::memcmp(bytes.data(), kMagic.data(), kMagic.size()) != 0 || get(bytes, 8) != kSegmentVersion ||
      get(bytes, 16) != entries) {
    return;
  }
  const auto clock = std::bit_cast<double>(get(bytes, 24));
  std::vector<DiskIndex::Recency> recency(entries);
  for (std::size_t i = 0; i < entries; ++i) {
    const std::size_t at = kHeaderBytes + i * kEntryBytes;
    recency[i].segment = static_cast<std::uint32_t>(get(bytes, at));
    recency[i].offset = get(bytes, at + 8);
    recency[i].priority = std::bit_cast<double>(get(bytes, at + 16));
    if (!std::isfinite(recency[i].priority)) return;
  }
  if (std::isfinite(clock)) index.restore_recency(recency, clock);
}

}  // namespace kvasir::kv
