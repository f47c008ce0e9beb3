#pragma once
// Small questions about a token's text.

#include <algorithm>
#include <string_view>

#include "text/tokenizer.h"

namespace kvasir::chat {

inline bool ends_answer(const text::Tokenizer& tokenizer, TokenId token) {
  const auto ends = tokenizer.end_tokens();
  return std::find(ends.begin(), ends.end(), token) != ends.end();
}

// A token of these bytes goes on with `text`, and may go on behind it.
inline bool goes_on_with(std::string_view bytes, std::string_view text) {
  return !bytes.empty() && (bytes.starts_with(text) || text.starts_with(bytes));
}

}  // namespace kvasir::chat
