#pragma once
// DRY, "don't repeat yourself" (p-e-w 2024, github.com/oobabooga/text-generation-webui/pull/5677): a token
// that would lengthen a repetition is made the less likely the longer the repetition is already.
//
// For a token t, let n be the length of the longest run of tokens at the history's end that also stands
// somewhere before, with t behind it. From n = allowed_length on,
//
//     logit(t) -= multiplier * base^(n - allowed_length)
//
// A run reaches back over no sequence breaker, and no breaker is penalised: a break is wherever the history's
// text holds one of the breakers' texts, whether that is a part of a token, a token, or several.

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/types.h"

namespace kvasir::engine {

// The bytes that a token stands for, valid while the function's owner lives.
using TokenBytes = std::function<std::string_view(TokenId)>;

struct DryParams {
  float multiplier = 0.0F;  // 0 = off
  float base = 1.75F;
  std::uint32_t allowed_length = 2;
  std::int32_t penalty_last_n = -1;  // tokens of the history that are looked at; -1: all, 0: none
  std::vector<std::string> sequence_breakers = {"\n", ":", "\"", "*"};  // none of them empty
};

// `row`: (vocabulary) logits, changed in place. `lengths`: (vocabulary) scratch, all zero before and after.
// Works in one pass over the history, and at most 50 steps back for every place that its last token is found
// at.
void apply_dry(const DryParams& params, std::span<const TokenId> history, const TokenBytes& bytes,
               std::span<float> row, std::span<std::uint32_t> lengths);

}  // namespace kvasir::engine
