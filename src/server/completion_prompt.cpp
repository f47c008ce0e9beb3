#include "server/completion_prompt.h"

namespace kvasir::server {
namespace {

using text::SpecialText;

std::vector<TokenId> tokens_of(const std::variant<std::string, std::vector<TokenId>>& prompt,
                               SpecialText special, const text::Tokenizer& tokenizer) {
  if (const auto* tokens = std::get_if<std::vector<TokenId>>(&prompt)) return *tokens;
  return tokenizer.encode(std::get<std::string>(prompt), special);
}

}  // namespace

Result<CompletionPrompt> completion_prompt(const std::variant<std::string, std::vector<TokenId>>& prompt,
                                           const std::string& suffix, const text::Tokenizer& tokenizer) {
  CompletionPrompt result;
  const bool is_text = std::holds_alternative<std::string>(prompt);
  if (is_text && tokenizer.adds_bos()) result.tokens.push_back(tokenizer.bos());
  std::vector<TokenId> tokens;
  if (suffix.empty()) {
    tokens = tokens_of(prompt, SpecialText::kParse, tokenizer);
  } else {
    const auto& gap = tokenizer.fill_middle();
    if (!gap) {
      return make_error(ErrorCode::kInvalidArgument,
                        "suffix: this model's vocabulary has no fill-in-the-middle tokens; leave suffix out, "
                        "or serve a model of code that was trained to fill gaps",
                        "suffix");
    }
    // Code may hold the text of a control token; it is no instruction.
    const auto before = tokens_of(prompt, SpecialText::kAsText, tokenizer);
    tokens = gap->prompt(before, tokenizer.encode(suffix, SpecialText::kAsText));
    result.stop_tokens = gap->ends;
  }
  result.tokens.insert(result.tokens.end(), tokens.begin(), tokens.end());
  result.text = is_text ? std::get<std::string>(prompt)
                        : tokenizer.decode(std::get<std::vector<TokenId>>(prompt), true);
  return result;
}

}  // namespace kvasir::server
