// The tree behind DiskIndex: linking, taking out, eviction, recency and lists.

#include <algorithm>
#include <limits>

#include "base/check.h"
#include "kv/disk_index.h"

namespace kvasir::kv {

DiskIndex::Slot DiskIndex::link(RecordHeader&& header, std::uint32_t name_space, const Link& where) {
  Slot slot = 0;
  if (free_slots_.empty()) {
    slot = static_cast<Slot>(entries_.size());
    KVASIR_CHECK(slot != kNoSlot, "slots are 32 bits wide");
    entries_.emplace_back();
  } else {
    slot = free_slots_.back();
    free_slots_.pop_back();
  }
  Entry& entry = entries_[slot];
  ++entry.generation;
  entry.key = header.key;
  entry.parent_key = header.parent;
  entry.path = extend_path(header.parent_path, header.tokens);
  entry.place = {header.segment, header.offset, header.payload_bytes, header.payload_hash};
  entry.parent = where.parent;
  entry.above = where.above;
  entry.name_space = name_space;
  entry.depth = (where.parent & kRootBit) != 0 ? 0 : entries_[where.parent].depth + 1;
  entry.children = 0;
  entry.first = static_cast<std::uint8_t>(header.first);
  entry.count = static_cast<std::uint8_t>(header.tokens.size());
  entry.tokens = std::make_unique<TokenId[]>(header.tokens.size());
  std::ranges::copy(header.tokens, entry.tokens.get());
  entry.priority = header.priority;
  entry.last_used = ++uses_;
  entry.written = header.written_unix_seconds;
  // What was written lately was written at a late clock.
  clock_ = std::max(clock_, entry.priority - record_cost(entry.token_span(), entry.first, entry.depth));
  tokens_ += entry.own_tokens();

  if (entry.above != kNoSlot && entries_[entry.above].children++ == 0) leaves_.erase(order(entry.above));
  by_key_.emplace(entry.key, slot);
  siblings_.insert(slot);
  leaves_.insert(order(slot));
  return slot;
}

RecordPlace DiskIndex::unlink(Slot slot) {
  Entry& entry = entries_[slot];
  KVASIR_CHECK(entry.generation % 2 == 1 && entry.children == 0, "only leaves leave the index");
  leaves_.erase(order(slot));
  siblings_.erase(slot);
  by_key_.erase(entry.key);
  tokens_ -= entry.own_tokens();
  if (entry.above != kNoSlot && --entries_[entry.above].children == 0) leaves_.insert(order(entry.above));
  entry.tokens.reset();
  entry.count = 0;
  ++entry.generation;
  free_slots_.push_back(slot);
  return entry.place;
}

// Everything that continues `slot`, parents before children.
void DiskIndex::collect_below(Slot slot, std::vector<Slot>& out) const {
  std::size_t next = out.size();
  out.push_back(slot);
  for (; next < out.size(); ++next) {
    const Slot here = out[next];
    const Entry& entry = entries_[here];
    if (entry.children == 0) continue;
    const auto take = [&](Siblings::const_iterator from, Parent parent, std::span<const TokenId> start) {
      for (; from != siblings_.end() && entries_[*from].parent == parent; ++from) {
        const auto tokens = entries_[*from].token_span();
        if (tokens.size() < start.size() || !std::ranges::equal(tokens.first(start.size()), start)) break;
        if (entries_[*from].above == here) out.push_back(*from);
      }
    };
    take(std::next(siblings_.find(here)), entry.parent, entry.token_span());  // later pieces of the block
    take(siblings_.lower_bound(Wanted{here, {}}), here, {});                  // blocks below it
  }
}

std::vector<RecordPlace> DiskIndex::remove(RecordId record) {
  const auto slot = slot_of(record);
  if (!slot) return {};
  std::vector<Slot> gone;
  collect_below(*slot, gone);
  std::vector<RecordPlace> places;
  places.reserve(gone.size());
  for (auto next = gone.rbegin(); next != gone.rend(); ++next) places.push_back(unlink(*next));
  return places;
}

std::vector<bool> DiskIndex::admitted(const NameSpaceFilter& whose) const {
  std::vector<bool> numbers(name_spaces_.size());
  for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = admits(whose, name_spaces_[i].name);
  return numbers;
}

std::optional<RecordPlace> DiskIndex::evict(std::optional<RecordId> keep, const NameSpaceFilter& whose) {
  const auto ours = whose ? admitted(whose) : std::vector<bool>();
  for (const LeafOrder& leaf : leaves_) {
    const Slot slot = std::get<Slot>(leaf);
    if (keep == id_of(slot) || (whose && !ours[entries_[slot].name_space])) continue;
    clock_ = std::max(clock_, std::get<double>(leaf));
    return unlink(slot);
  }
  return std::nullopt;
}

std::vector<RecordPlace> DiskIndex::evict_conversation(std::optional<RecordId> keep) {
  std::vector<RecordPlace> places;
  for (const LeafOrder& leaf : leaves_) {
    Slot slot = std::get<Slot>(leaf);
    if (keep == id_of(slot)) continue;
    clock_ = std::max(clock_, std::get<double>(leaf));
    do {
      const Slot above = entries_[slot].above;
      places.push_back(unlink(slot));
      slot = above;
    } while (slot != kNoSlot && entries_[slot].children == 0 && keep != id_of(slot));
    break;
  }
  return places;
}

void DiskIndex::move(RecordId record, std::uint32_t segment, std::uint64_t offset) {
  const auto slot = slot_of(record);
  KVASIR_CHECK(slot.has_value(), "only a record of the index moves");
  entries_[*slot].place.segment = segment;
  entries_[*slot].place.offset = offset;
}

std::vector<DiskIndex::Recency> DiskIndex::recency() const {
  std::vector<Slot> slots(siblings_.begin(), siblings_.end());
  std::ranges::sort(slots, {}, [this](Slot slot) { return entries_[slot].last_used; });
  std::vector<Recency> all;
  all.reserve(slots.size());
  for (const Slot slot : slots) {
    const Entry& entry = entries_[slot];
    all.push_back({entry.place.segment, entry.place.offset, entry.priority});
  }
  return all;
}

void DiskIndex::restore_recency(std::span<const Recency> recency, double clock) {
  std::map<std::pair<std::uint32_t, std::uint64_t>, Slot> by_place;
  for (const Slot slot : siblings_) {
    by_place.emplace(std::pair(entries_[slot].place.segment, entries_[slot].place.offset), slot);
  }
  for (const Recency& one : recency) {
    const auto found = by_place.find({one.segment, one.offset});
    if (found == by_place.end()) continue;
    Entry& entry = entries_[found->second];
    if (entry.children == 0) leaves_.erase(order(found->second));
    entry.priority = one.priority;
    entry.last_used = ++uses_;
    if (entry.children == 0) leaves_.insert(order(found->second));
  }
  clock_ = std::max(clock_, clock);
}

std::vector<RecordId> DiskIndex::leaf_ids(const NameSpaceFilter& whose) const {
  const auto ours = admitted(whose);
  std::vector<RecordId> ids;
  for (const LeafOrder& leaf : leaves_) {
    const Slot slot = std::get<Slot>(leaf);
    if (ours[entries_[slot].name_space] && is_conversation(slot)) ids.push_back(id_of(slot));
  }
  return ids;
}

bool DiskIndex::is_conversation(Slot leaf) const {
  const Entry& entry = entries_[leaf];
  return !entry.holds_state() || entry.above == kNoSlot || entries_[entry.above].children == 1;
}

std::uint64_t DiskIndex::conversations() const {
  return static_cast<std::uint64_t>(std::ranges::count_if(
      leaves_, [this](const LeafOrder& leaf) { return is_conversation(std::get<Slot>(leaf)); }));
}

std::vector<RecordId> DiskIndex::in_segment(std::uint32_t segment) const {
  std::vector<Slot> slots;
  for (const Slot slot : siblings_) {
    if (entries_[slot].place.segment == segment) slots.push_back(slot);
  }
  std::ranges::sort(slots, [this](Slot a, Slot b) {
    const bool a_leaf = entries_[a].children == 0;
    const bool b_leaf = entries_[b].children == 0;
    return a_leaf != b_leaf ? b_leaf : order(a) > order(b);
  });
  std::vector<RecordId> ids;
  ids.reserve(slots.size());
  for (const Slot slot : slots) ids.push_back(id_of(slot));
  return ids;
}

std::vector<RecordId> DiskIndex::path_to(RecordId record) const {
  std::vector<RecordId> path;
  const auto last = slot_of(record);
  for (Slot slot = last.value_or(kNoSlot); slot != kNoSlot; slot = entries_[slot].above) {
    path.push_back(id_of(slot));
  }
  std::ranges::reverse(path);
  return path;
}

RecordHeader DiskIndex::header(RecordId record) const {
  const auto slot = slot_of(record);
  KVASIR_CHECK(slot.has_value(), "only a record of the index has a header");
  const Entry& entry = entries_[*slot];
  RecordHeader header;
  header.segment = entry.place.segment;
  header.offset = entry.place.offset;
  header.key = entry.key;
  header.parent = entry.parent_key;
  header.parent_path = path_of(entry.parent);
  header.first = entry.first;
  header.tokens.assign(entry.token_span().begin(), entry.token_span().end());
  header.name_space = name_spaces_[entry.name_space].name;
  header.payload_bytes = entry.place.payload_bytes;
  header.payload_hash = entry.place.payload_hash;
  header.written_unix_seconds = entry.written;
  header.priority = entry.priority;
  return header;
}

std::uint32_t DiskIndex::children(RecordId record) const {
  const auto slot = slot_of(record);
  return slot ? entries_[*slot].children : 0;
}

double DiskIndex::lowest_priority() const {
  KVASIR_CHECK(!leaves_.empty(), "an index with records has leaves");
  return std::get<double>(*leaves_.begin());
}

DiskUse DiskIndex::use(const NameSpaceFilter& whose) const {
  const auto ours = admitted(whose);
  DiskUse use;
  for (const Entry& entry : entries_) {
    if (entry.generation % 2 == 0 || !ours[entry.name_space]) continue;
    ++use.records;
    const auto slot = static_cast<Slot>(&entry - entries_.data());
    use.conversations += entry.children == 0 && is_conversation(slot) ? 1 : 0;
    use.tokens += entry.own_tokens();
    use.bytes += entry.place.extent();
  }
  return use;
}

DiskConversation DiskIndex::describe(RecordId leaf) const {
  const auto last = slot_of(leaf);
  KVASIR_CHECK(last.has_value(), "a conversation ends in a record of the index");
  const Entry& end = entries_[*last];
  DiskConversation conversation;
  conversation.name_space = name_spaces_[end.name_space].name;
  conversation.tokens = end.depth * kBlockTokens + end.count - (end.holds_state() ? 1 : 0);
  conversation.written_unix_seconds = end.written;
  conversation.segment = end.place.segment;
  conversation.offset = end.place.offset;
  bool own = true;
  for (Slot slot = *last; slot != kNoSlot; slot = entries_[slot].above) {
    own = own && entries_[slot].children <= 1;
    (own ? conversation.bytes : conversation.shared_bytes) += entries_[slot].place.extent();
  }
  return conversation;
}

std::vector<RecordId> DiskIndex::in_tree_order(const NameSpaceFilter& whose) const {
  const auto ours = admitted(whose);
  std::vector<Slot> slots;
  for (const Slot slot : siblings_) {
    if (entries_[slot].above == kNoSlot && ours[entries_[slot].name_space]) collect_below(slot, slots);
  }
  std::vector<RecordId> ids;
  ids.reserve(slots.size());
  for (const Slot slot : slots) ids.push_back(id_of(slot));
  return ids;
}

void DiskIndex::check_invariants() const {
  std::vector<std::uint32_t> children(entries_.size());
  std::size_t taken = 0;
  std::size_t without_children = 0;
  std::uint64_t tokens = 0;
  for (Slot slot = 0; slot < entries_.size(); ++slot) {
    if (entries_[slot].generation % 2 == 1 && entries_[slot].above != kNoSlot) {
      ++children[entries_[slot].above];
    }
  }
  for (Slot slot = 0; slot < entries_.size(); ++slot) {
    const Entry& entry = entries_[slot];
    if (entry.generation % 2 == 0) continue;
    ++taken;
    tokens += entry.own_tokens();
    without_children += entry.children == 0 ? 1 : 0;
    KVASIR_CHECK(entry.children == children[slot], "children are counted");
    KVASIR_CHECK((entry.children == 0) == leaves_.contains(order(slot)), "leaves are evictable");
    KVASIR_CHECK(by_key_.at(entry.key) == slot, "every record is indexed");
    KVASIR_CHECK(siblings_.contains(slot), "every record is among its siblings");
    if (entry.first > 0) {
      const Entry& above = entries_[entry.above];
      KVASIR_CHECK(above.generation % 2 == 1 && above.parent == entry.parent && above.count == entry.first &&
                       std::ranges::equal(above.token_span(), entry.token_span().first(entry.first)),
                   "a piece continues exactly the tokens before it");
    } else if ((entry.parent & kRootBit) == 0) {
      const Entry& above = entries_[entry.parent];
      KVASIR_CHECK(above.generation % 2 == 1 && entry.above == entry.parent && above.count == kBlockTokens &&
                       above.name_space == entry.name_space,
                   "a block continues a full block of its namespace");
    } else {
      KVASIR_CHECK(entry.above == kNoSlot, "a first block continues nothing");
    }
  }
  KVASIR_CHECK(taken == by_key_.size() && taken == siblings_.size() && without_children == leaves_.size() &&
                   tokens == tokens_ && taken + free_slots_.size() == entries_.size(),
               "nothing is listed twice");
}

}  // namespace kvasir::kv
