#pragma once
// Walks a constraint over Qwen's vocabulary as the engine does: a token is accepted if its mask admits it.

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "chat/tool_constraint.h"
#include "text/models.h"

namespace kvasir::chat {

inline std::shared_ptr<text::GrammarFactory> grammars() {
  static const auto factory = text::GrammarFactory::create(text::qwen().tokenizer);
  return factory.ok() ? *factory : nullptr;
}

inline bool allows(engine::Constraint& constraint, TokenId token) {
  auto mask = constraint.mask();
  EXPECT_TRUE(mask.ok()) << mask.error().message;
  if (!mask.ok()) return false;
  if (!mask->has_value()) return true;
  const auto bit = static_cast<std::uint32_t>(token);
  return ((**mask)[bit / 32] >> (bit % 32) & 1U) != 0;
}

// How much of `text` may be generated, token by token; the whole text where it is all allowed.
inline std::string admitted(engine::Constraint& constraint, const std::string& text) {
  std::string so_far;
  for (const TokenId token : text::qwen().tokenizer->encode(text, text::SpecialText::kParse)) {
    if (!allows(constraint, token)) break;
    EXPECT_TRUE(constraint.accept(token).ok());
    so_far += text::qwen().tokenizer->bytes(token);
  }
  return so_far;
}

inline bool may_end(engine::Constraint& constraint) {
  return allows(constraint, text::qwen().tokenizer->eos());
}

}  // namespace kvasir::chat
