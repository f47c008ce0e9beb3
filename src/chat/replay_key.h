#pragma once
// What an assistant turn is known by when a client sends it back.
//
// A client keeps a turn as it saw it: text (often trimmed), the thought where it keeps thoughts, and calls,
// whose arguments it may write anew. That, with all spellings of the same made one, is the turn's identity.
// Together with the namespace it is nearly enough. Two conversations may hold the same words sampled as
// different tokens ("Done."), and each must keep its own, or either would change under the other's feet; so
// the key also has
//   - the ids of the turn's calls, where it has calls: the server made them and they are unique; or
//   - a digest of the messages before the turn. Where a client changes one of those, the prompt is read anew
//     from there anyway and it does not matter how the turns behind are written.

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "chat/conversation.h"

namespace kvasir::chat {

// A running digest of messages, in order. Assistant turns count by what is seen of them, thoughts apart:
// clients and templates drop old ones.
class ReplayContext {
 public:
  void add(const Message& message);
  const std::array<std::uint64_t, 2>& digest() const { return digest_; }

 private:
  std::array<std::uint64_t, 2> digest_{};
};

// Compared as a whole; the table hashes it only to find it.
using ReplayKey = std::string;

// The namespace that a key was made with.
std::string_view namespace_of(const ReplayKey& key);

ReplayKey replay_key(std::string_view cache_namespace, const ReplayContext& before, const Message& turn);

}  // namespace kvasir::chat
