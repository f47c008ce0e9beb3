#include "kv/prefix_tree.h"

#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <utility>

#include "base/check.h"

namespace kvasir::kv {
namespace {

bool starts_with(std::span<const TokenId> whole, std::span<const TokenId> start) {
  return whole.size() >= start.size() && std::equal(start.begin(), start.end(), whole.begin());
}

}  // namespace

std::uint32_t common_prefix(std::span<const TokenId> a, std::span<const TokenId> b) {
  const auto limit = std::min(a.size(), b.size());
  const auto end = a.begin() + static_cast<std::ptrdiff_t>(limit);
  return static_cast<std::uint32_t>(std::mismatch(a.begin(), end, b.begin()).first - a.begin());
}

double recompute_cost(std::uint32_t tokens, std::uint32_t depth) {
  return static_cast<double>(tokens) / kBlockTokens * (1.0 + depth / kAttentionParityBlocks);
}

BlockKey hash_block(const BlockKey& parent, std::span<const TokenId> tokens) {
  std::array<std::byte, sizeof(BlockKey) + kBlockTokens * sizeof(TokenId)> buffer;
  KVASIR_CHECK(tokens.size() <= kBlockTokens, "a block holds at most kBlockTokens tokens");
  std::memcpy(buffer.data(), &parent, sizeof(BlockKey));
  std::memcpy(buffer.data() + sizeof(BlockKey), tokens.data(), tokens.size_bytes());
  const XXH128_hash_t hash = XXH3_128bits(buffer.data(), sizeof(BlockKey) + tokens.size_bytes());
  return {hash.low64, hash.high64};
}

BlockKey hash_root(std::string_view root_name, std::string_view name_space) {
  // The length in front keeps ("ab", "c") and ("a", "bc") apart.
  std::string text = std::to_string(root_name.size()) + ':';
  text.append(root_name).append(name_space);
  const XXH128_hash_t hash = XXH3_128bits(text.data(), text.size());
  return {hash.low64, hash.high64};
}

PrefixTree::PrefixTree(BlockPool& pool, std::string_view root_name, KeyFunction key_function,
                       bool reports_new, StateShape state)
    : pool_(pool),
      root_name_(root_name),
      key_function_(key_function),
      nodes_(pool.counts().total),
      state_shape_(state),
      reports_new_(reports_new) {}

std::optional<PrefixTree::BlockView> PrefixTree::view(BlockId block) const {
  const Node& n = node(block);
  if (n.root == nullptr) return std::nullopt;
  return BlockView{n.root->name, n.parent,         n.parent ? node(*n.parent).key : n.root->key,
                   n.key,        tokens_of(block), n.depth};
}

std::vector<BlockId> PrefixTree::take_new() {
  return std::exchange(new_blocks_, {});
}

std::span<const TokenId> PrefixTree::tokens_of(BlockId block) const {
  return std::span(node(block).tokens).first(node(block).token_count);
}

BlockKey PrefixTree::root_key(std::string_view name_space) const {
  return hash_root(root_name_, name_space);
}

const PrefixTree::Root* PrefixTree::find_root(std::string_view name_space) const {
  const auto found = roots_.find(name_space);
  return found == roots_.end() ? nullptr : found->second.get();
}

PrefixTree::Root& PrefixTree::make_root(std::string_view name_space) {
  if (const auto found = roots_.find(name_space); found != roots_.end()) return *found->second;
  auto root = std::make_unique<Root>(Root{std::string(name_space), root_key(name_space), {}});
  return *roots_.emplace(std::string(name_space), std::move(root)).first->second;
}

void PrefixTree::drop_root_if_empty(Root& root) {
  if (root.children.empty()) roots_.erase(roots_.find(root.name));
}

std::vector<BlockId>& PrefixTree::siblings(Root& root, std::optional<BlockId> parent) {
  return parent ? node(*parent).children : root.children;
}

std::size_t PrefixTree::lower_bound(const std::vector<BlockId>& children,
                                    std::span<const TokenId> tokens) const {
  const auto found = std::lower_bound(
      children.begin(), children.end(), tokens, [this](BlockId child, std::span<const TokenId> wanted) {
        const auto have = tokens_of(child);
        return std::lexicographical_compare(have.begin(), have.end(), wanted.begin(), wanted.end());
      });
  return static_cast<std::size_t>(found - children.begin());
}

std::optional<BlockId> PrefixTree::find_key(const BlockKey& key, const Root* root,
                                            std::optional<BlockId> parent,
                                            std::span<const TokenId> tokens) const {
  const auto found = index_.find(key);
  if (found == index_.end()) return std::nullopt;
  // The key is only a hint: nothing is served unless root, parent and every token agree.
  const Node& candidate = node(found->second);
  const auto have = tokens_of(found->second);
  if (candidate.root != root || candidate.parent != parent || !std::ranges::equal(have, tokens)) {
    return std::nullopt;
  }
  return found->second;
}

MatchResult PrefixTree::match(std::string_view name_space, std::span<const TokenId> tokens) const {
  MatchResult result;
  const Root* root = find_root(name_space);
  if (root == nullptr) return result;
  BlockKey key = root->key;
  std::optional<BlockId> parent;
  while (tokens.size() >= kBlockTokens) {
    const auto here = tokens.first(kBlockTokens);
    key = key_function_(key, here);
    const auto child = find_key(key, root, parent, here);
    if (!child) break;
    result.blocks.push_back(*child);
    parent = child;
    tokens = tokens.subspan(kBlockTokens);
  }
  match_partial(parent ? node(*parent).children : root->children, tokens, result);
  result.known_blocks = static_cast<std::uint32_t>(result.blocks.size());
  if (state_shape_.blocks > 0) cut_to_state(result);
  return result;
}

void PrefixTree::cut_to_state(MatchResult& result) const {
  if (result.partial) {
    const Node& n = node(*result.partial);
    if (n.token_count == result.partial_tokens && !n.state.empty()) return;
    result.partial.reset();
    result.partial_tokens = 0;
  }
  while (!result.blocks.empty() && node(result.blocks.back()).state.empty()) result.blocks.pop_back();
}

void PrefixTree::keep_state(BlockId block, std::span<const BlockId> state) {
  Node& n = node(block);
  KVASIR_CHECK(n.root != nullptr && n.state.empty() && state.size() == state_shape_.blocks,
               "a state is kept behind a block of the tree, once");
  for (const BlockId part : state) pool_.hold(part);
  n.state.assign(state.begin(), state.end());
  touch(block);
  if (reports_new_) new_blocks_.push_back(block);
}

void PrefixTree::drop_state(Node& n) {
  if (n.state.empty()) return;
  for (const BlockId part : n.state) pool_.unhold(part);
  n.state.clear();
}

// Behind a state, its tokens and those in front of it up to the state before are what it saves computing.
double PrefixTree::cost(const Node& n) const {
  std::uint32_t tokens = n.token_count;
  if (!n.state.empty()) {
    std::optional<BlockId> at = n.parent;
    for (; at && node(*at).state.empty(); at = node(*at).parent) tokens += kBlockTokens;
  }
  return recompute_cost(tokens, n.depth);
}

void PrefixTree::match_partial(const std::vector<BlockId>& children, std::span<const TokenId> rest,
                               MatchResult& result) const {
  // In token order the longest common prefix is with one of the two neighbours.
  const std::size_t position = lower_bound(children, rest);
  for (const std::size_t neighbour : {position, position - 1}) {
    if (neighbour >= children.size()) continue;  // also position - 1 below zero
    const auto length = common_prefix(tokens_of(children[neighbour]), rest);
    if (length <= result.partial_tokens) continue;
    result.partial = children[neighbour];
    result.partial_tokens = length;
  }
}

std::optional<BlockId> PrefixTree::find_child(std::string_view name_space, std::optional<BlockId> parent,
                                              std::span<const TokenId> tokens) const {
  KVASIR_CHECK(tokens.size() == kBlockTokens, "only full blocks are looked up by key");
  const Root* root = parent ? node(*parent).root : find_root(name_space);
  if (root == nullptr) return std::nullopt;
  const BlockKey& above = parent ? node(*parent).key : root->key;
  return find_key(key_function_(above, tokens), root, parent, tokens);
}

std::vector<BlockKey> PrefixTree::chain(std::string_view name_space, std::span<const TokenId> tokens) const {
  std::vector<BlockKey> keys;
  keys.reserve(tokens.size() / kBlockTokens);
  BlockKey key = root_key(name_space);
  for (; tokens.size() >= kBlockTokens; tokens = tokens.subspan(kBlockTokens)) {
    key = key_function_(key, tokens.first(kBlockTokens));
    keys.push_back(key);
  }
  return keys;
}

InsertResult PrefixTree::insert(std::string_view name_space, std::optional<BlockId> parent,
                                std::span<const TokenId> tokens, BlockId block) {
  KVASIR_CHECK(!tokens.empty() && tokens.size() <= kBlockTokens, "a block holds 1 to kBlockTokens tokens");
  KVASIR_CHECK(pool_.users(block) > 0 && !pool_.held(block), "a new block comes from its user");
  if (parent) {
    KVASIR_CHECK(node(*parent).root != nullptr && node(*parent).root->name == name_space &&
                     node(*parent).token_count == kBlockTokens,
                 "a block continues a full block of its own namespace");
  }
  Root& root = parent ? *node(*parent).root : make_root(name_space);
  const auto& around = siblings(root, parent);
  const std::size_t position = lower_bound(around, tokens);
  if (position < around.size() && starts_with(tokens_of(around[position]), tokens)) {
    const BlockId existing = around[position];
    touch(existing);
    return {InsertOutcome::kExisted, existing};
  }
  const BlockKey key = key_function_(parent ? node(*parent).key : root.key, tokens);
  if (index_.contains(key)) {
    drop_root_if_empty(root);
    return {InsertOutcome::kCollision, block};
  }
  if (position > 0 && starts_with(tokens, tokens_of(around[position - 1]))) unlink(around[position - 1]);
  link(root, parent, tokens, key, block);
  return {InsertOutcome::kInserted, block};
}

void PrefixTree::link(Root& root, std::optional<BlockId> parent, std::span<const TokenId> tokens,
                      const BlockKey& key, BlockId block) {
  pool_.hold(block);
  Node& fresh = node(block);
  fresh.root = &root;
  fresh.parent = parent;
  fresh.depth = parent ? node(*parent).depth + 1 : 0;
  fresh.token_count = static_cast<std::uint32_t>(tokens.size());
  fresh.key = key;
  fresh.children.clear();
  std::ranges::copy(tokens, fresh.tokens.begin());
  fresh.last_used = ++uses_;
  fresh.priority = clock_ + cost(fresh);

  auto& around = siblings(root, parent);
  if (parent && around.empty()) leaves_.erase(order(node(*parent), *parent));
  around.insert(around.begin() + static_cast<std::ptrdiff_t>(lower_bound(around, tokens)), block);
  index_.emplace(key, block);
  leaves_.insert(order(fresh, block));
  if (reports_new_) new_blocks_.push_back(block);
}

void PrefixTree::unlink(BlockId block) {
  Node& gone = node(block);
  KVASIR_CHECK(gone.root != nullptr && gone.children.empty(), "only leaves leave the tree");
  leaves_.erase(order(gone, block));
  if (!gone.state.empty()) states_.erase({gone.last_used, block});
  drop_state(gone);
  index_.erase(gone.key);
  auto& around = siblings(*gone.root, gone.parent);
  around.erase(around.begin() + static_cast<std::ptrdiff_t>(lower_bound(around, tokens_of(block))));
  if (gone.parent && around.empty()) leaves_.insert(order(node(*gone.parent), *gone.parent));
  gone.root = nullptr;
  pool_.unhold(block);
}

void PrefixTree::touch(BlockId block) {
  Node& used = node(block);
  KVASIR_CHECK(used.root != nullptr, "only blocks of the tree are touched");
  if (used.children.empty()) leaves_.erase(order(used, block));
  if (!used.state.empty()) states_.erase({used.last_used, block});
  used.last_used = ++uses_;
  used.priority = clock_ + cost(used);
  if (used.children.empty()) leaves_.insert(order(used, block));
  if (!used.state.empty()) states_.insert({used.last_used, block});
}

std::optional<BlockId> PrefixTree::allocate() {
  if (pool_.counts().free == 0 && !evict_one()) return std::nullopt;
  return pool_.allocate();
}

bool PrefixTree::evict_one() {
  // At most one leaf for every running sequence is skipped, so the walk is short.
  for (const LeafOrder& leaf : leaves_) {
    const BlockId block = std::get<BlockId>(leaf);
    if (pool_.users(block) > 0) continue;
    if (on_eviction_) on_eviction_(block);
    Root& root = *node(block).root;
    clock_ = std::max(clock_, std::get<double>(leaf));
    unlink(block);
    drop_root_if_empty(root);
    ++evicted_blocks_;
    return true;
  }
  return evict_state();
}

// Every leaf is in use: a state behind a block of theirs, that nobody reads just now, is what can be spared.
bool PrefixTree::evict_state() {
  for (const auto& [used, block] : states_) {
    Node& n = node(block);
    if (std::ranges::any_of(n.state, [this](BlockId part) { return pool_.users(part) > 0; })) continue;
    if (on_eviction_) on_eviction_(block);
    drop_state(n);
    states_.erase({used, block});
    return true;
  }
  return false;
}

std::vector<PrefixTree::Conversation> PrefixTree::conversations(const NameSpaceFilter& whose) const {
  std::vector<Conversation> all;
  for (const LeafOrder& leaf : leaves_) {
    const BlockId block = std::get<BlockId>(leaf);
    const Node& n = node(block);
    if (!admits(whose, n.root->name)) continue;
    all.push_back({n.root->name, block, n.depth * kBlockTokens + n.token_count, pool_.users(block) > 0});
  }
  std::ranges::sort(all, std::greater{}, [this](const Conversation& c) { return node(c.leaf).last_used; });
  return all;
}

std::uint32_t PrefixTree::forget(const NameSpaceFilter& whose, std::uint32_t most) {
  std::vector<BlockId> found;
  for (const LeafOrder& leaf : leaves_) {
    const BlockId block = std::get<BlockId>(leaf);
    if (pool_.users(block) == 0 && admits(whose, node(block).root->name)) found.push_back(block);
  }
  std::uint32_t gone = 0;
  for (const BlockId leaf : found) {
    // Up the path as far as nothing else hangs on it.
    std::optional<BlockId> next = leaf;
    while (next && gone < most && node(*next).children.empty() && pool_.users(*next) == 0) {
      const BlockId block = *next;
      Root& root = *node(block).root;
      next = node(block).parent;
      unlink(block);
      drop_root_if_empty(root);
      ++gone;
    }
    if (gone >= most) break;
  }
  return gone;
}

void PrefixTree::check_invariants() const {
  pool_.check_conservation();
  std::size_t in_tree = 0;
  std::size_t without_children = 0;
  std::vector<bool> of_state(nodes_.size());
  for (const auto& [used, block] : states_) {
    KVASIR_CHECK(node(block).last_used == used && node(block).state.size() == state_shape_.blocks,
                 "nodes with a state are listed");
    for (const BlockId part : node(block).state) {
      KVASIR_CHECK(!of_state[index_of(part)], "a block is of one state");
      of_state[index_of(part)] = true;
    }
  }
  for (std::uint32_t i = 0; i < nodes_.size(); ++i) {
    const Node& n = nodes_[i];
    KVASIR_CHECK((n.root != nullptr || of_state[i]) == pool_.held(BlockId{i}) && !(n.root && of_state[i]),
                 "the pool knows what the tree holds");
    KVASIR_CHECK(n.state.empty() != states_.contains({n.last_used, BlockId{i}}), "states are listed");
    if (n.root == nullptr) continue;
    ++in_tree;
    without_children += n.children.empty() ? 1 : 0;
    KVASIR_CHECK(n.children.empty() || n.token_count == kBlockTokens, "partial blocks are leaves");
    KVASIR_CHECK(n.children.empty() == leaves_.contains(order(n, BlockId{i})), "leaves are evictable");
    KVASIR_CHECK(index_.at(n.key) == BlockId{i}, "every node is indexed");
    for (std::size_t c = 0; c < n.children.size(); ++c) {
      KVASIR_CHECK(node(n.children[c]).parent == BlockId{i}, "children know their parent");
      if (c == 0) continue;
      const auto before = tokens_of(n.children[c - 1]);
      const auto after = tokens_of(n.children[c]);
      KVASIR_CHECK(std::lexicographical_compare(before.begin(), before.end(), after.begin(), after.end()) &&
                       !starts_with(after, before),
                   "siblings are in order and none is a prefix of another");
    }
  }
  KVASIR_CHECK(in_tree == index_.size() && without_children == leaves_.size(), "nothing is listed twice");
  for (const auto& [name, root] : roots_) KVASIR_CHECK(!root->children.empty(), "empty roots are dropped");
}

}  // namespace kvasir::kv
