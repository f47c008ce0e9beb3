#include "engine/families.h"

#include <algorithm>

namespace kvasir::engine {
namespace {

// A machine runs a few sessions at a time, each with some sub-agents.
constexpr std::size_t kFamiliesMost = 256;
constexpr std::size_t kConversationsMost = 32;

}  // namespace

// The length in front keeps ("ab", "c") and ("a", "bc") apart.
std::string Families::name_of(const std::string& name_space, const std::string& key) {
  return std::to_string(name_space.size()) + ':' + name_space + key;
}

Families::Path Families::path_to(BlockId leaf) const {
  Path path;
  for (std::optional<BlockId> at = leaf; at; at = tree_.view(*at)->parent)
    path.push_back({*at, tree_.view(*at)->key});
  std::ranges::reverse(path);
  return path;
}

// Blocks are evicted from the leaves on, so what is in front of one that is there is there.
void Families::drop_evicted(std::vector<Path>& conversations) const {
  const auto lives = [this](const Block& block) {
    const auto view = tree_.view(block.id);
    return view && view->key == block.key;
  };
  for (Path& path : conversations) {
    while (!path.empty() && !lives(path.back())) path.pop_back();
  }
  std::erase_if(conversations, [](const Path& path) { return path.empty(); });
}

void Families::touch(const std::string& name_space, const std::string& key) {
  if (key.empty()) return;
  const auto found = by_name_.find(name_of(name_space, key));
  if (found == by_name_.end()) return;
  order_.splice(order_.begin(), order_, found->second);
  drop_evicted(found->second->conversations);
  for (const Path& path : found->second->conversations) {
    for (const Block& block : path) tree_.touch(block.id);
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
  auto& conversations = found->second->conversations;
  drop_evicted(conversations);
  // What the conversation has grown from is on the new path.
  std::erase_if(conversations, [&](const Path& old) {
    const BlockId end = old.back().id;
    return end == leaf || std::ranges::find(match.blocks, end) != match.blocks.end();
  });
  if (conversations.size() == kConversationsMost) conversations.erase(conversations.begin());
  conversations.push_back(path_to(leaf));
}

std::string_view Families::key_of(BlockId leaf) const {
  const auto view = tree_.view(leaf);
  for (const Family& family : order_) {
    for (const Path& path : family.conversations) {
      if (path.back().id == leaf && view && view->key == path.back().key) return family.key;
    }
  }
  return {};
}

}  // namespace kvasir::engine
