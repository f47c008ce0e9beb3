#pragma once
// A set of tokens as engine::Constraint gives it: bit t of word t / 32.

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "base/types.h"

namespace kvasir::chat {

class TokenMask {
 public:
  void fill(std::size_t vocab_size, bool allowed) {
    words_.assign((vocab_size + 31) / 32, allowed ? ~std::uint32_t{0} : 0);
  }
  void assign(std::span<const std::uint32_t> words) { words_.assign(words.begin(), words.end()); }
  void set(TokenId token) { word(token) |= bit(token); }
  void clear(TokenId token) { word(token) &= ~bit(token); }
  bool empty() const { return words_.empty(); }
  std::span<const std::uint32_t> words() const { return words_; }

  static bool test(std::span<const std::uint32_t> words, TokenId token) {
    return (words[static_cast<std::uint32_t>(token) / 32] & bit(token)) != 0;
  }

 private:
  static std::uint32_t bit(TokenId token) { return 1U << (static_cast<std::uint32_t>(token) % 32); }
  std::uint32_t& word(TokenId token) { return words_[static_cast<std::uint32_t>(token) / 32]; }

  std::vector<std::uint32_t> words_;
};

}  // namespace kvasir::chat
