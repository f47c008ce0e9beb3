#include "engine/families.h"

#include <algorithm>

namespace kvasir::engine {
namespace {

// A machine runs a few sessions at a time, each with some sub-agents.
constexpr std::size_t kFamiliesMost = 256;
constexpr std::size_t kLeavesMost = 32;

}  // namespace

// The length in front keeps ("ab", "c") and ("a", "bc") apart.
std::string Families::name_of(const std::string& name_space, const std::string& key) {
  return std::to_string(name_space.size()) + ':' + name_space + key;
}

bool Families::lives(const Leaf& leaf) const {
  const auto view = tree_.view(leaf.block);
  return view && view->key == leaf.key;
}

std::vector<BlockId> Families::path_to(BlockId leaf) const {
  std::vector<BlockId> path;
  for (std::optional<BlockId> at = leaf; at; at = tree_.view(*at)->parent) path.push_back(*at);
  std::ranges::reverse(path);
  return path;
}

void Families::touch(const std::string& name_space, const std::string& key) {
  if (key.empty()) return;
  const auto found = by_name_.find(name_of(name_space, key));
  if (found == by_name_.end()) return;
  order_.splice(order_.begin(), order_, found->second);
  std::erase_if(found->second->leaves, [this](const Leaf& leaf) { return !lives(leaf); });
  for (const Leaf& leaf : found->second->leaves) {
    for (const BlockId block : path_to(leaf.block)) tree_.touch(block);
  }
}

void Families::remember(const std::string& name_space, const std::string& key,
                        std::span<const TokenId> tokens) {
  if (key.empty()) return;
  const kv::MatchResult match = tree_.match(name_space, tokens);
  if (match.tokens() == 0) return;
  const BlockId leaf = match.partial ? *match.partial : match.blocks.back();
  const std::string name = name_of(name_space, key);
  auto found = by_name_.find(name);
  if (found == by_name_.end()) {
    order_.push_front({name, key, {}});
    found = by_name_.emplace(name, order_.begin()).first;
    if (order_.size() > kFamiliesMost) {
      by_name_.erase(order_.back().name);
      order_.pop_back();
    }
  }
  auto& leaves = found->second->leaves;
  // What the conversation has grown from is on the new path.
  std::erase_if(leaves, [&](const Leaf& old) {
    return !lives(old) || old.block == leaf ||
           std::ranges::find(match.blocks, old.block) != match.blocks.end();
  });
  if (leaves.size() == kLeavesMost) leaves.erase(leaves.begin());
  leaves.push_back({leaf, tree_.view(leaf)->key});
}

std::string_view Families::key_of(BlockId leaf) const {
  for (const Family& family : order_) {
    for (const Leaf& one : family.leaves) {
      if (one.block == leaf && lives(one)) return family.key;
    }
  }
  return {};
}

}  // namespace kvasir::engine
