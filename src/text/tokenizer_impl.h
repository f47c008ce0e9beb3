#pragma once
// What a Tokenizer holds; shared by the files of this layer only.

#include <memory>
#include <vector>

#include "text/ffi.h"
#include "text/tokenizer.h"

namespace kvasir::text {

struct Tokenizer::Impl {
  ffi::TokenizerHandle handle;
  kvt_token_table table{};  // into `handle`
  TokenId bos = kNoToken;
  TokenId eos = kNoToken;
  bool adds_bos = false;
  std::optional<FillMiddle> fill_middle;
  std::vector<TokenId> end_tokens;  // no duplicates, eos first
};

}  // namespace kvasir::text
