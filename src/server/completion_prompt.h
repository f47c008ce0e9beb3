#pragma once
// The prompts of /v1/completions: text or tokens as they are, or the two sides of a gap that is to be filled.

#include <string>
#include <variant>
#include <vector>

#include "base/error.h"
#include "base/types.h"
#include "text/tokenizer.h"

namespace kvasir::server {

struct CompletionPrompt {
  std::vector<TokenId> tokens;
  std::string text;                  // what `echo` gives back
  std::vector<TokenId> stop_tokens;  // what ends the answer beside the model's end tokens
};

// `suffix`: what stands behind the gap; empty: there is none. kInvalidArgument where the model's vocabulary
// cannot say a gap.
Result<CompletionPrompt> completion_prompt(const std::variant<std::string, std::vector<TokenId>>& prompt,
                                           const std::string& suffix, const text::Tokenizer& tokenizer);

}  // namespace kvasir::server
