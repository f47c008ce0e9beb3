#include "chat/whole_answer.h"

#include "chat/token_text.h"

namespace kvasir::chat {

using text::GrammarMatcher;

WholeAnswer::WholeAnswer(std::unique_ptr<GrammarMatcher> matcher,
                         std::shared_ptr<const text::Tokenizer> tokenizer, ReasoningFormat reasoning,
                         bool opened, std::string opening)
    : matcher_(std::move(matcher)),
      tokenizer_(std::move(tokenizer)),
      close_(reasoning.close),
      thought_(std::move(reasoning), opened),
      to_open_(std::move(opening)) {
  if (!to_open_.empty()) behind_thought_ = matcher_->clone();
  if (behind_thought_ == nullptr) to_open_.clear();
}

Result<std::optional<std::span<const std::uint32_t>>> WholeAnswer::mask() {
  if (thought_.inside()) return std::optional(thought_mask());
  if (to_open_.empty()) {
    KVASIR_ASSIGN_OR_RETURN(const std::span<const std::uint32_t> allowed, matcher_->mask());
    return std::optional(allowed);
  }
  if (matcher_ != nullptr) {
    KVASIR_ASSIGN_OR_RETURN(const std::span<const std::uint32_t> allowed, matcher_->mask());
    mask_.assign(allowed);
  } else {
    mask_.fill(tokenizer_->vocab_size(), false);
  }
  for (const TokenId token : opening_tokens()) mask_.set(token);
  return std::optional(mask_.words());
}

Status WholeAnswer::accept(TokenId token) {
  if (ends_answer(*tokenizer_, token)) return {};
  const std::string_view bytes = tokenizer_->bytes(token);
  if (thought_.inside()) return accept_rest(*matcher_, thought_.feed(bytes));
  if (to_open_.empty()) return matcher_->accept(token);
  return accept_either(token, bytes);
}

std::vector<TokenId> WholeAnswer::take_forced(std::size_t most) {
  return held() ? matcher_->take_forced(most) : std::vector<TokenId>();
}

std::vector<TokenId> WholeAnswer::take_forced_within(std::size_t most, std::size_t least) {
  return held() ? matcher_->take_forced_within(most, least) : std::vector<TokenId>();
}

// The token may go on with the thought's opening, with the grammar, or, where both begin with the same
// control token (gpt-oss), with either.
Status WholeAnswer::accept_either(TokenId token, std::string_view bytes) {
  const bool opens = goes_on_with(bytes, to_open_);
  Status followed = matcher_ != nullptr
                        ? matcher_->accept(token)
                        : make_error(ErrorCode::kInternal, "a token that opens no thought was sampled");
  if (!opens) {
    to_open_.clear();
    behind_thought_ = nullptr;
    return followed;
  }
  if (!followed.ok()) matcher_ = nullptr;
  begun_ = true;
  thought_.feed(bytes);
  to_open_.erase(0, bytes.size());
  if (to_open_.empty()) matcher_ = std::move(behind_thought_);
  return {};
}

// Bytes behind the thought's end in the token that ended it.
Status WholeAnswer::accept_rest(GrammarMatcher& matcher, std::string_view rest) const {
  for (const TokenId token : tokenizer_->encode(rest, text::SpecialText::kAsText)) {
    KVASIR_RETURN_IF_ERROR(matcher.accept(token));
  }
  return {};
}

// What may go on with the opening. A control token is the only way to write itself; where the vocabulary has
// no token for the tag, its pieces, of which the last may run on into the thought. The first piece is the
// tokenizer's own, since any beginning of a tag would also let other text begin.
std::vector<TokenId> WholeAnswer::opening_tokens() const {
  const TokenId first = tokenizer_->encode(to_open_, text::SpecialText::kParse).front();
  if (!begun_ || tokenizer_->is_special(first)) return {first};
  std::vector<TokenId> tokens;
  const auto count = static_cast<TokenId>(tokenizer_->vocab_size());
  for (TokenId token = 0; token < count; ++token) {
    if (goes_on_with(tokenizer_->bytes(token), to_open_) && !tokenizer_->is_special(token))
      tokens.push_back(token);
  }
  return tokens;
}

std::span<const std::uint32_t> WholeAnswer::thought_mask() {
  if (in_thought_.empty()) {
    in_thought_.fill(tokenizer_->vocab_size(), true);
    for (const TokenId token : tokenizer_->end_tokens()) in_thought_.clear(token);
    forbid_misfits(in_thought_, close_);
  }
  const std::string_view closing = thought_.closing();
  if (closing.empty()) return in_thought_.words();
  mask_ = in_thought_;
  forbid_misfits(mask_, std::string_view(close_).substr(closing.size()));
  return mask_.words();
}

// `left`: what is missing of the closing tag. The whole tag may stand anywhere in a token.
void WholeAnswer::forbid_misfits(TokenMask& mask, std::string_view left) const {
  const auto count = static_cast<TokenId>(tokenizer_->vocab_size());
  for (TokenId token = 0; token < count; ++token) {
    const std::string_view bytes = tokenizer_->bytes(token);
    const std::size_t at = left.size() == close_.size() ? bytes.find(left)
                           : bytes.starts_with(left)    ? 0
                                                        : std::string_view::npos;
    if (at == std::string_view::npos || at + left.size() == bytes.size()) continue;
    const auto probe = matcher_->clone();
    if (probe == nullptr || !accept_rest(*probe, bytes.substr(at + left.size())).ok()) mask.clear(token);
  }
}

}  // namespace kvasir::chat
