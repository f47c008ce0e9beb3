// What people ask of a store while it serves. The mutex is the one that look-ups need: long lists are made in
// turns.

#include <algorithm>

#include "kv/disk_store_impl.h"

namespace kvasir::kv {
namespace {

constexpr std::size_t kConversationsATurn = 32;
constexpr std::size_t kEvictionsATurn = 256;

}  // namespace

DiskUse DiskStore::Impl::use(const NameSpaceFilter& whose) const {
  const std::lock_guard lock(mutex_);
  return index_.use(whose);
}

std::vector<DiskConversation> DiskStore::Impl::conversations(const NameSpaceFilter& whose) const {
  std::vector<RecordId> leaves;
  {
    const std::lock_guard lock(mutex_);
    leaves = index_.leaf_ids(whose);
  }
  std::vector<DiskConversation> all;
  for (std::size_t i = 0; i < leaves.size();) {
    const std::lock_guard lock(mutex_);
    const std::size_t end = std::min(leaves.size(), i + kConversationsATurn);
    for (; i < end; ++i) {
      // Gone, or gone on, since it was listed.
      if (!index_.place(leaves[i]) || index_.children(leaves[i]) > 0) continue;
      all.push_back(index_.describe(leaves[i]));
      all.back().label = options_.label;
    }
  }
  sort_newest_first(all);
  return all;
}

std::vector<RecordId> DiskStore::Impl::records(const NameSpaceFilter& whose) const {
  const std::lock_guard lock(mutex_);
  return index_.in_tree_order(whose);
}

std::optional<RecordHeader> DiskStore::Impl::header(RecordId record) const {
  const std::lock_guard lock(mutex_);
  if (!index_.place(record)) return std::nullopt;
  return index_.header(record);
}

std::uint64_t DiskStore::Impl::prune_some(const NameSpaceFilter& whose, std::uint64_t keep_bytes) {
  std::vector<Hole> holes;
  std::uint64_t given_back = 0;
  {
    const std::lock_guard lock(mutex_);
    if (read_only_ || writes_stopped_) return 0;
    std::uint64_t left = index_.use(whose).bytes;
    while (left > keep_bytes && holes.size() < kEvictionsATurn) {
      const auto gone = index_.evict(std::nullopt, whose);
      if (!gone) break;
      ++counters_.evicted_records;
      left -= std::min(left, gone->extent());
      given_back += gone->extent();
      const auto hole = bury({*gone});
      holes.insert(holes.end(), hole.begin(), hole.end());
    }
  }
  release(holes);
  return given_back;
}

}  // namespace kvasir::kv
