#pragma once
// What the disk holds, in memory: a tree of records for every namespace of one root, found by key, and a
// block's records in token order. Knows no file; whoever owns it moves the bytes.
//
// A record's parent in the tree is the record that it continues: the earlier piece of its block (tokens
// [0, first)), or the last piece of the full block above, or nothing below a namespace's root. Every record
// in the tree can therefore be served. Leaves are evicted by priority, as in the prefix tree.
//
// A record whose last token is kNoToken holds the state behind the tokens before it
// (docs/formats/kv-segment.md).
//
// Not thread-safe. Look-ups take O(log records) for every block of the sequence; memory is about 200 bytes
// and the tokens for a record.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "kv/disk_store.h"
#include "kv/name_space_filter.h"
#include "kv/segment_format.h"

namespace kvasir::kv {

// Where a record lies, and how to know its payload.
struct RecordPlace {
  std::uint32_t segment = 0;
  std::uint64_t offset = 0;
  std::uint64_t payload_bytes = 0;
  Hash128 payload_hash;
  std::uint64_t extent() const { return record_extent(payload_bytes); }
};

class DiskIndex {
 public:
  DiskIndex(std::string root_name, KeyFunction key_function);
  ~DiskIndex();
  DiskIndex(const DiskIndex&) = delete;
  DiskIndex& operator=(const DiskIndex&) = delete;

  // ---- Building ----
  enum class Added {
    kLinked,    // it, and all that waited for it, can be served
    kWaiting,   // what it continues is not there yet
    kRejected,  // there already, or a collision, or it contradicts itself
  };
  // Does not read the payload.
  Added add(RecordHeader header);
  // What the last add() that answered kLinked put in.
  RecordId last_added() const { return last_added_; }
  // The records that still wait for what they continue; the index forgets them.
  std::vector<RecordPlace> take_orphans();
  // What a new record would be, all but its place and payload; nullopt when it is not wanted: there already,
  // or what it continues is not, or its key is taken.
  std::optional<RecordHeader> plan(std::string_view name_space, const BlockKey& parent,
                                   std::span<const TokenId> tokens, std::uint32_t first) const;
  // Whether the full block `parent` and those above it hold exactly the tokens `before`.
  bool spells(std::string_view name_space, const BlockKey& parent, std::span<const TokenId> before) const;
  // The record that `header` continues; nullopt below a root (or when it is gone).
  std::optional<RecordId> continued_by(const RecordHeader& header) const;

  // ---- Looking up ----
  BlockKey root_key(std::string_view name_space) const { return hash_root(root_name_, name_space); }
  DiskMatch match(std::string_view name_space, std::span<const TokenId> tokens, std::uint32_t from);
  std::uint32_t stored(std::string_view name_space, const BlockKey& parent,
                       std::span<const TokenId> tokens) const;
  std::optional<RecordPlace> place(RecordId record) const;

  // ---- Changing ----
  void move(RecordId record, std::uint32_t segment, std::uint64_t offset);
  // Takes a record out with all that continues it; their places. Empty when it is gone already.
  std::vector<RecordPlace> remove(RecordId record);
  // Takes the leaf with the lowest priority out; nullopt when there is none but `keep`.
  std::optional<RecordPlace> evict(std::optional<RecordId> keep, const NameSpaceFilter& whose = {});
  // The same with what only this leaf continued: a whole conversation.
  std::vector<RecordPlace> evict_conversation(std::optional<RecordId> keep);

  // ---- Recency, to be kept over restarts ----
  struct Recency {
    std::uint32_t segment = 0;
    std::uint64_t offset = 0;
    double priority = 0;
  };
  // All records, the least recently used first.
  std::vector<Recency> recency() const;
  void restore_recency(std::span<const Recency> recency, double clock);
  double clock() const { return clock_; }

  // ---- Listing ----
  std::vector<RecordId> leaf_ids(const NameSpaceFilter& whose = {}) const;  // the least valuable first
  std::vector<RecordId> in_segment(
      std::uint32_t segment) const;                      // those that others continue first, then by value
  std::vector<RecordId> path_to(RecordId record) const;  // from the root to the record, both included
  RecordHeader header(RecordId record) const;            // as it was added (the place as it is now)
  std::uint32_t children(RecordId record) const;
  double lowest_priority() const;  // of a leaf; there must be one
  std::vector<RecordId> in_tree_order(const NameSpaceFilter& whose = {}) const;  // parents before children
  DiskUse use(const NameSpaceFilter& whose) const;
  // A leaf and its path; its label is left to the caller.
  DiskConversation describe(RecordId leaf) const;

  std::uint64_t records() const { return by_key_.size(); }
  std::uint64_t leaves() const { return leaves_.size(); }
  // Leaves but for states behind which a conversation goes on.
  std::uint64_t conversations() const;
  std::uint64_t tokens() const { return tokens_; }
  // Recounts and compares everything that must agree; aborts otherwise. O(records log records).
  void check_invariants() const;

 private:
  using Slot = std::uint32_t;
  // What a block hangs below: a record's slot, or kRootBit and a namespace's number.
  using Parent = std::uint64_t;
  static constexpr Parent kRootBit = Parent{1} << 32;
  static constexpr Slot kNoSlot = ~Slot{0};
  struct NameSpace {
    std::string name;
    BlockKey key;
    Hash128 path;
  };
  struct Entry {
    BlockKey key;
    BlockKey parent_key;
    Hash128 path;
    RecordPlace place;
    Parent parent = 0;
    Slot above = kNoSlot;  // the record that this one continues
    std::uint32_t name_space = 0;
    std::uint32_t depth = 0;
    std::uint32_t children = 0;    // records whose `above` is this
    std::uint32_t generation = 0;  // of the slot: odd while it is taken
    std::uint8_t first = 0;
    std::uint8_t count = 0;  // of tokens
    double priority = 0;
    std::uint64_t last_used = 0;
    std::int64_t written = 0;
    std::unique_ptr<TokenId[]> tokens;
    std::span<const TokenId> token_span() const { return {tokens.get(), count}; }
    bool holds_state() const { return count > 0 && tokens[count - 1U] == kNoToken; }
    std::uint32_t own_tokens() const {
      return static_cast<std::uint32_t>(count - first) - (holds_state() ? 1 : 0);
    }
  };
  struct KeyHash {
    std::size_t operator()(const BlockKey& key) const { return static_cast<std::size_t>(key.low); }
  };
  struct Wanted {
    Parent parent = 0;
    std::span<const TokenId> tokens;
  };
  struct Order {
    using is_transparent = void;
    const std::vector<Entry>* entries = nullptr;
    bool operator()(Slot a, Slot b) const { return less(of(a), of(b)); }
    bool operator()(Slot a, const Wanted& b) const { return less(of(a), b); }
    bool operator()(const Wanted& a, Slot b) const { return less(a, of(b)); }
    Wanted of(Slot slot) const { return {(*entries)[slot].parent, (*entries)[slot].token_span()}; }
    static bool less(const Wanted& a, const Wanted& b);
  };
  struct Link {  // where a header belongs in the tree
    Parent parent = 0;
    Slot above = kNoSlot;
  };
  using Siblings = std::set<Slot, Order>;
  using LeafOrder = std::tuple<double, std::uint64_t, Slot>;

  std::optional<std::uint32_t> find_name_space(std::string_view name) const;
  std::uint32_t make_name_space(const std::string& name);
  std::optional<Slot> find(const BlockKey& key, Parent parent, std::span<const TokenId> tokens) const;
  std::optional<Parent> find_parent(std::uint32_t name_space, const BlockKey& key) const;
  std::optional<Link> find_link(const RecordHeader& header, std::uint32_t name_space) const;
  const Hash128& path_of(Parent parent) const;
  BlockKey above_key(const RecordHeader& header) const;
  std::optional<Slot> longest_prefix(Parent parent, std::span<const TokenId> tokens,
                                     std::uint32_t& length) const;
  std::optional<Slot> slot_of(RecordId record) const;
  RecordId id_of(Slot slot) const;
  Slot link(RecordHeader&& header, std::uint32_t name_space, const Link& where);
  RecordPlace unlink(Slot slot);
  void collect_below(Slot slot, std::vector<Slot>& out) const;
  void touch(Slot slot);
  bool is_conversation(Slot leaf) const;
  // What it takes to compute a record's KV again; a state is worth a block's.
  static double record_cost(std::span<const TokenId> tokens, std::uint32_t first, std::uint32_t depth);
  void emit(Slot slot, std::uint32_t block, std::uint32_t upto, std::uint32_t from, DiskMatch& match);
  std::vector<bool> admitted(const NameSpaceFilter& whose) const;  // by namespace number
  LeafOrder order(Slot slot) const { return {entries_[slot].priority, entries_[slot].last_used, slot}; }

  std::string root_name_;
  KeyFunction key_function_;
  std::vector<Entry> entries_;
  std::vector<Slot> free_slots_;
  std::vector<NameSpace> name_spaces_;
  std::map<std::string, std::uint32_t, std::less<>> name_space_numbers_;
  std::unordered_map<BlockKey, Slot, KeyHash> by_key_;
  Siblings siblings_;  // every record, by what its block hangs below, then by tokens
  std::set<LeafOrder> leaves_;
  std::unordered_multimap<BlockKey, RecordHeader, KeyHash> waiting_;  // by the key that they continue
  RecordId last_added_{};
  double clock_ = 0;
  std::uint64_t uses_ = 0;
  std::uint64_t tokens_ = 0;
};

}  // namespace kvasir::kv
