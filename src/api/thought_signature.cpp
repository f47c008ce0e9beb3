#include "api/thought_signature.h"

#include "base/base64.h"

namespace kvasir::api {
namespace {

// Any fixed bytes do: what is secret of a key is its owner's API key.
constexpr SipKey kPurpose = {'k', 'v', 'a', 's', 'i', 'r', ' ', 't', 'h', 'o', 'u', 'g', 'h', 't', ' ', '1'};

std::string tag_of(const SipKey& key, std::string_view thought) {
  const SipTag tag = siphash(key, thought);
  return {tag.begin(), tag.end()};
}

}  // namespace

ThoughtSigner::ThoughtSigner(std::string_view owner) : key_(siphash(kPurpose, owner)) {}

std::string ThoughtSigner::sign(std::string_view thought, bool carry) const {
  std::string bytes = tag_of(key_, thought);
  if (carry) bytes += thought;
  return base64_encode(bytes);
}

std::optional<std::string> ThoughtSigner::verified(std::string_view shown, std::string_view signature) const {
  const std::optional<std::string> bytes = base64_decode(signature);
  constexpr std::size_t kTag = SipTag{}.size();
  if (!bytes || bytes->size() < kTag) return std::nullopt;
  std::string thought(shown.empty() ? std::string_view(*bytes).substr(kTag) : shown);
  if (std::string_view(*bytes).substr(0, kTag) != tag_of(key_, thought)) return std::nullopt;
  return thought;
}

}  // namespace kvasir::api
