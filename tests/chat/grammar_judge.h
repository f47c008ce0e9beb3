#pragma once
// Whether a grammar admits a text, by the real engine and a real tokenizer: every token must be in the mask.

#include <string>

#include "text/grammar.h"
#include "text/models.h"

namespace kvasir::chat {

class GrammarJudge {
 public:
  explicit GrammarJudge(const std::string& lark) {
    static const auto factory = text::GrammarFactory::create(text::qwen().tokenizer);
    auto compiled = (*factory)->compile_lark(lark);
    if (compiled.ok()) {
      pristine_ = std::move(compiled).value();
    } else {
      problem_ = compiled.error().message;
    }
  }

  bool compiled() const { return pristine_ != nullptr; }
  const std::string& problem() const { return problem_; }

  bool admits(const std::string& text) const {
    if (!compiled()) return false;
    const auto matcher = pristine_->clone();
    for (const TokenId token : text::qwen().tokenizer->encode(text, text::SpecialText::kAsText)) {
      const auto mask = matcher->mask();
      if (!mask.ok()) return false;
      const auto bit = static_cast<std::uint32_t>(token);
      if (((*mask)[bit / 32] >> (bit % 32) & 1U) == 0 || !matcher->accept(token).ok()) return false;
    }
    return matcher->is_accepting();
  }

 private:
  std::unique_ptr<text::GrammarMatcher> pristine_;
  std::string problem_;
};

}  // namespace kvasir::chat
