#pragma once
// SipHash-2-4 with 128 bits (Aumasson and Bernstein, 2012): a keyed hash of short texts. Who does not have
// the key cannot make the hash of a text of his own. Bytes and words as in the authors' reference code.

#include <array>
#include <cstdint>
#include <string_view>

namespace kvasir {

using SipKey = std::array<std::uint8_t, 16>;
using SipTag = std::array<std::uint8_t, 16>;

SipTag siphash(const SipKey& key, std::string_view text);

}  // namespace kvasir
