#pragma once
// A tokenizer as the contents of a Hugging Face tokenizer.json, which gives the same tokens.

#include <string>

#include "base/error.h"
#include "text/tokenizer.h"

namespace kvasir::text {

Result<std::string> to_tokenizer_json(const Tokenizer& tokenizer);

}  // namespace kvasir::text
