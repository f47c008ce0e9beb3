#include "base/base64.h"

#include <cstdint>

namespace kvasir {
namespace {

constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::size_t kIn = 3;   // bytes of a group
constexpr std::size_t kOut = 4;  // digits of a group

}  // namespace

std::string base64_encode(std::string_view bytes) {
  std::string text;
  text.reserve((bytes.size() + kIn - 1) / kIn * kOut);
  for (std::size_t at = 0; at < bytes.size(); at += kIn) {
    const std::string_view group = bytes.substr(at, kIn);
    std::uint32_t bits = 0;
    for (std::size_t i = 0; i < kIn; ++i)
      bits = bits << 8 | (i < group.size() ? static_cast<std::uint8_t>(group[i]) : 0U);
    for (std::size_t i = 0; i < kOut; ++i)
      text += i <= group.size() ? kDigits[bits >> (6 * (kOut - 1 - i)) & 63] : '=';
  }
  return text;
}

std::optional<std::string> base64_decode(std::string_view text) {
  if (text.size() % kOut != 0) return std::nullopt;
  std::string bytes;
  std::uint32_t bits = 0;
  for (std::size_t i = 0; i < text.size() && text[i] != '='; ++i) {
    const std::size_t digit = kDigits.find(text[i]);
    if (digit == std::string_view::npos) return std::nullopt;
    bits = bits << 6 | static_cast<std::uint32_t>(digit);
    if (i % kOut != 0) bytes += static_cast<char>(bits >> (2 * (kOut - 1 - i % kOut)) & 255);
  }
  // Whatever is no canonical form (stray padding, bits behind the last byte) writes another text.
  if (base64_encode(bytes) != text) return std::nullopt;
  return bytes;
}

}  // namespace kvasir
