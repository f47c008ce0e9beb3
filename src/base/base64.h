#pragma once
// Base64 (RFC 4648, section 4), with padding.

#include <optional>
#include <string>
#include <string_view>

namespace kvasir {

std::string base64_encode(std::string_view bytes);
// nullopt where the text is anything else than base64_encode() writes.
std::optional<std::string> base64_decode(std::string_view text);

}  // namespace kvasir
