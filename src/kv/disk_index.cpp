#include "kv/disk_index.h"

#include <algorithm>

#include "base/check.h"

namespace kvasir::kv {
bool DiskIndex::Order::less(const Wanted& a, const Wanted& b) {
  if (a.parent != b.parent) return a.parent < b.parent;
  return std::ranges::lexicographical_compare(a.tokens, b.tokens);
}

DiskIndex::DiskIndex(std::string root_name, KeyFunction key_function)
    : root_name_(std::move(root_name)), key_function_(key_function), siblings_(Order{&entries_}) {}
DiskIndex::~DiskIndex() = default;

std::optional<std::uint32_t> DiskIndex::find_name_space(std::string_view name) const {
  const auto found = name_space_numbers_.find(name);
  if (found == name_space_numbers_.end()) return std::nullopt;
  return found->second;
}

std::uint32_t DiskIndex::make_name_space(const std::string& name) {
  const auto [found, fresh] =
      name_space_numbers_.emplace(name, static_cast<std::uint32_t>(name_spaces_.size()));
  if (fresh) name_spaces_.push_back({name, root_key(name), root_path(root_name_, name)});
  return found->second;
}

std::optional<DiskIndex::Slot> DiskIndex::find(const BlockKey& key, Parent parent,
                                               std::span<const TokenId> tokens) const {
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return std::nullopt;
  // The key is only a hint: nothing is served unless parent (and so the namespace) and every token agree.
  const Entry& entry = entries_[found->second];
  if (entry.parent != parent || !std::ranges::equal(entry.token_span(), tokens)) return std::nullopt;
  return found->second;
}

std::optional<DiskIndex::Parent> DiskIndex::find_parent(std::uint32_t name_space, const BlockKey& key) const {
  if (key == name_spaces_[name_space].key) return kRootBit | name_space;
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return std::nullopt;
  const Entry& entry = entries_[found->second];
  if (entry.name_space != name_space || entry.count != kBlockTokens) return std::nullopt;
  return found->second;
}

const Hash128& DiskIndex::path_of(Parent parent) const {
  return (parent & kRootBit) != 0 ? name_spaces_[parent & ~kRootBit].path : entries_[parent].path;
}

// The key of the record that a header continues: the earlier piece of its block, or the block above.
BlockKey DiskIndex::above_key(const RecordHeader& header) const {
  if (header.first == 0) return header.parent;
  return key_function_(header.parent, std::span(header.tokens).first(header.first));
}

std::optional<DiskIndex::Link> DiskIndex::find_link(const RecordHeader& header,
                                                    std::uint32_t name_space) const {
  const auto parent = find_parent(name_space, header.parent);
  if (!parent || path_of(*parent) != header.parent_path) return std::nullopt;
  Link link{*parent, (*parent & kRootBit) != 0 ? kNoSlot : static_cast<Slot>(*parent)};
  if (header.first > 0) {
    const auto piece = find(above_key(header), *parent, std::span(header.tokens).first(header.first));
    if (!piece) return std::nullopt;
    link.above = *piece;
  }
  return link;
}

DiskIndex::Added DiskIndex::add(RecordHeader header) {
  if (header.key != key_function_(header.parent, header.tokens)) return Added::kRejected;
  if (by_key_.contains(header.key)) return Added::kRejected;
  const std::uint32_t name_space = make_name_space(header.name_space);
  const auto where = find_link(header, name_space);
  if (!where) {
    const BlockKey above = above_key(header);
    waiting_.emplace(above, std::move(header));
    return Added::kWaiting;
  }
  std::vector<Slot> fresh{link(std::move(header), name_space, *where)};
  last_added_ = id_of(fresh.back());
  while (!fresh.empty() && !waiting_.empty()) {
    const BlockKey key = entries_[fresh.back()].key;
    fresh.pop_back();
    auto [next, end] = waiting_.equal_range(key);
    while (next != end) {
      const auto number = find_name_space(next->second.name_space);
      const auto link_here = number ? find_link(next->second, *number) : std::nullopt;
      if (!link_here || by_key_.contains(next->second.key)) {
        ++next;  // a collision or a second copy: stays, and ends as an orphan
        continue;
      }
      fresh.push_back(link(std::move(next->second), *number, *link_here));
      next = waiting_.erase(next);
    }
  }
  return Added::kLinked;
}

std::vector<RecordPlace> DiskIndex::take_orphans() {
  std::vector<RecordPlace> places;
  places.reserve(waiting_.size());
  for (const auto& [key, header] : waiting_) {
    places.push_back({header.segment, header.offset, header.payload_bytes, header.payload_hash});
  }
  waiting_.clear();
  return places;
}

std::optional<RecordHeader> DiskIndex::plan(std::string_view name_space, const BlockKey& parent,
                                            std::span<const TokenId> tokens, std::uint32_t first) const {
  if (tokens.empty() || tokens.size() > kBlockTokens || first >= tokens.size()) return std::nullopt;
  if (name_space.size() > kMostNameSpaceBytes) return std::nullopt;
  RecordHeader header;
  header.key = key_function_(parent, tokens);
  header.parent = parent;
  header.first = first;
  header.tokens.assign(tokens.begin(), tokens.end());
  header.name_space = name_space;
  header.parent_path = root_path(root_name_, name_space);
  std::uint32_t depth = 0;
  const auto number = find_name_space(name_space);
  if (!number) {  // nothing of this namespace yet: only a first block can be continued
    if (first > 0 || parent != root_key(name_space) || by_key_.contains(header.key)) return std::nullopt;
  } else {
    const auto above = find_parent(*number, parent);
    if (!above || by_key_.contains(header.key)) return std::nullopt;
    header.parent_path = path_of(*above);
    if (!find_link(header, *number)) return std::nullopt;
    if (stored(name_space, parent, tokens) == tokens.size()) return std::nullopt;
    if ((*above & kRootBit) == 0) depth = entries_[*above].depth + 1;
  }
  header.priority = clock_ + record_cost(tokens, first, depth);
  return header;
}

bool DiskIndex::spells(std::string_view name_space, const BlockKey& parent,
                       std::span<const TokenId> before) const {
  const auto number = find_name_space(name_space);
  if (!number) return false;
  auto block = find_parent(*number, parent);
  if (!block) return false;
  for (; (*block & kRootBit) == 0; block = entries_[*block].parent) {
    if (before.size() < kBlockTokens) return false;
    if (!std::ranges::equal(entries_[*block].token_span(), before.last(kBlockTokens))) return false;
    before = before.first(before.size() - kBlockTokens);
  }
  return before.empty();
}

std::optional<RecordId> DiskIndex::continued_by(const RecordHeader& header) const {
  const auto number = find_name_space(header.name_space);
  if (!number) return std::nullopt;
  const auto link = find_link(header, *number);
  if (!link || link->above == kNoSlot) return std::nullopt;
  return id_of(link->above);
}

std::optional<DiskIndex::Slot> DiskIndex::longest_prefix(Parent parent, std::span<const TokenId> tokens,
                                                         std::uint32_t& length) const {
  // In token order the longest common prefix is with one of the two neighbours.
  std::optional<Slot> best;
  length = 0;
  const auto consider = [&](Slot slot) {
    const Entry& entry = entries_[slot];
    if (entry.parent != parent) return;
    const auto common = common_prefix(entry.token_span(), tokens);
    if (common <= length) return;
    best = slot;
    length = common;
  };
  const auto next = siblings_.lower_bound(Wanted{parent, tokens});
  if (next != siblings_.end()) consider(*next);
  if (next != siblings_.begin()) consider(*std::prev(next));
  return best;
}

DiskMatch DiskIndex::match(std::string_view name_space, std::span<const TokenId> tokens, std::uint32_t from) {
  DiskMatch result;
  result.tokens = from;
  const auto number = find_name_space(name_space);
  if (!number) return result;
  Parent parent = kRootBit | *number;
  BlockKey key = name_spaces_[*number].key;
  std::uint32_t block = 0;
  for (; tokens.size() >= kBlockTokens; tokens = tokens.subspan(kBlockTokens), ++block) {
    const auto here = tokens.first(kBlockTokens);
    key = key_function_(key, here);
    const auto slot = find(key, parent, here);
    if (!slot) break;
    emit(*slot, block, kBlockTokens, from, result);
    parent = *slot;
  }
  std::uint32_t length = 0;
  const auto partial = longest_prefix(parent, tokens, length);
  if (partial) emit(*partial, block, length, from, result);
  return result;
}

// Names the pieces of a block that bring its tokens up to `upto`, and touches them.
void DiskIndex::emit(Slot slot, std::uint32_t block, std::uint32_t upto, std::uint32_t from,
                     DiskMatch& match) {
  std::vector<Slot> pieces;
  for (Slot piece = slot;; piece = entries_[piece].above) {
    if (entries_[piece].first < upto) pieces.push_back(piece);
    if (entries_[piece].first == 0) break;
  }
  const std::uint32_t start = block * kBlockTokens;
  for (auto piece = pieces.rbegin(); piece != pieces.rend(); ++piece) {
    touch(*piece);
    const Entry& entry = entries_[*piece];
    const std::uint32_t first = std::max<std::uint32_t>(entry.first, from > start ? from - start : 0);
    const std::uint32_t last = std::min<std::uint32_t>(entry.count, upto);
    if (first >= last) continue;
    match.reads.push_back({id_of(*piece), block, first, last, entry.first, entry.count});
    match.bytes += entry.place.payload_bytes;
  }
  match.tokens = std::max(from, start + upto);
}

std::uint32_t DiskIndex::stored(std::string_view name_space, const BlockKey& parent,
                                std::span<const TokenId> tokens) const {
  const auto number = find_name_space(name_space);
  if (!number || tokens.empty() || tokens.size() > kBlockTokens) return 0;
  const auto above = find_parent(*number, parent);
  if (!above) return 0;
  std::uint32_t length = 0;
  const auto nearest = longest_prefix(*above, tokens, length);
  if (!nearest || length == tokens.size()) return length;
  // A record is continued only at its end, so the answer is the longest one that `tokens` start with.
  for (; length > 0; --length) {
    const auto start = tokens.first(length);
    if (find(key_function_(parent, start), *above, start)) return length;
  }
  return 0;
}

std::optional<DiskIndex::Slot> DiskIndex::slot_of(RecordId record) const {
  const auto slot = static_cast<Slot>(static_cast<std::uint64_t>(record));
  const auto generation = static_cast<std::uint32_t>(static_cast<std::uint64_t>(record) >> 32);
  if (slot >= entries_.size() || entries_[slot].generation != generation || generation % 2 == 0) {
    return std::nullopt;
  }
  return slot;
}

RecordId DiskIndex::id_of(Slot slot) const {
  return RecordId{static_cast<std::uint64_t>(entries_[slot].generation) << 32 | slot};
}

std::optional<RecordPlace> DiskIndex::place(RecordId record) const {
  const auto slot = slot_of(record);
  if (!slot) return std::nullopt;
  return entries_[*slot].place;
}

double DiskIndex::record_cost(std::span<const TokenId> tokens, std::uint32_t first, std::uint32_t depth) {
  const auto own = static_cast<std::uint32_t>(tokens.size()) - first;
  return recompute_cost(tokens.back() == kNoToken ? kBlockTokens : own, depth);
}

void DiskIndex::touch(Slot slot) {
  Entry& entry = entries_[slot];
  if (entry.children == 0) leaves_.erase(order(slot));
  entry.last_used = ++uses_;
  entry.priority = clock_ + record_cost(entry.token_span(), entry.first, entry.depth);
  if (entry.children == 0) leaves_.insert(order(slot));
}

}  // namespace kvasir::kv
