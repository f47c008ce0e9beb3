#pragma once
// The whole answer follows one grammar, behind a thought that the prompt opened or that the model may open.
// A thought is free, but for two things: the answer does not end in it, and a token that ends it and goes on
// goes on with what the grammar admits.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "chat/thought_watch.h"
#include "chat/token_mask.h"
#include "engine/constraint.h"
#include "text/grammar.h"
#include "text/tokenizer.h"

namespace kvasir::chat {

class WholeAnswer : public engine::Constraint {
 public:
  // `opening`: the text with which the model may open a thought, if it may.
  WholeAnswer(std::unique_ptr<text::GrammarMatcher> matcher, std::shared_ptr<const text::Tokenizer> tokenizer,
              ReasoningFormat reasoning, bool opened, std::string opening);

  Result<std::optional<std::span<const std::uint32_t>>> mask() override;
  Status accept(TokenId token) override;
  std::vector<TokenId> take_forced(std::size_t most) override;
  std::vector<TokenId> take_forced_within(std::size_t most, std::size_t least) override;

 private:
  // By the grammar alone: no thought is open, or may open.
  bool held() const { return !thought_.inside() && to_open_.empty(); }
  Status accept_either(TokenId token, std::string_view bytes);
  Status accept_rest(text::GrammarMatcher& matcher, std::string_view rest) const;
  std::vector<TokenId> opening_tokens() const;
  std::span<const std::uint32_t> thought_mask();
  void forbid_misfits(TokenMask& mask, std::string_view left) const;

  std::unique_ptr<text::GrammarMatcher> matcher_;  // null while only a thought's opening can still come
  std::unique_ptr<text::GrammarMatcher> behind_thought_;  // as it was before the opening; null: none can come
  std::shared_ptr<const text::Tokenizer> tokenizer_;
  const std::string close_;
  ThoughtWatch thought_;
  std::string to_open_;  // what is still to be written of the thought's opening; empty where it cannot come
  bool begun_ = false;   // its first token has come
  TokenMask in_thought_;
  TokenMask mask_;
};

}  // namespace kvasir::chat
