#pragma once
// Whose KV is meant, where people look at the cache or clear it: namespaces belong to API keys.

#include <functional>
#include <string_view>

namespace kvasir::kv {

// True for the namespaces that are meant. An empty function means all.
using NameSpaceFilter = std::function<bool(std::string_view name_space)>;

inline bool admits(const NameSpaceFilter& whose, std::string_view name_space) {
  return !whose || whose(name_space);
}

}  // namespace kvasir::kv
