#pragma once
// Signatures of thinking blocks: Anthropic's clients keep a thought with its signature and send both back.
//
// A signature is a keyed hash of the thought's text, so that a thought that comes back can be told from one
// that somebody else wrote or changed: those are left out of the prompt. It guards a conversation against
// mixing, not the server against its client, who may put any text into a prompt. So the key is derived from
// the client's own cache namespace (its API key) and from nothing that would have to be kept: signatures hold
// after a restart, and on every server of the same API key.
//
// Where the client asked for thoughts to be left out ("display": "omitted") the signature carries the thought
// itself: the client sends it back unread, and the next prompt begins as the answer left it.

#include <optional>
#include <string>
#include <string_view>

#include "base/siphash.h"

namespace kvasir::api {

class ThoughtSigner {
 public:
  // `owner`: the cache namespace of the client's key. Signers of one owner verify each other's signatures.
  explicit ThoughtSigner(std::string_view owner);
  ThoughtSigner() : ThoughtSigner(std::string_view()) {}

  std::string sign(std::string_view thought, bool carry) const;
  // The thought of a block that has come back: `shown` as it is, or what the signature carries. nullopt where
  // it is not one that was signed for this owner, or not as it was.
  std::optional<std::string> verified(std::string_view shown, std::string_view signature) const;

 private:
  SipKey key_;
};

}  // namespace kvasir::api
