#pragma once
// Which form each tensor of a model is written in: a default, and rules for some.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "weights/checkpoint.h"
#include "weights/recode.h"

namespace kvasir::weights {

enum class Target { kGguf, kFolder };  // folders hold plain or MLX's affine weights

// What is wished for a matrix: a number of bits, a type by its name, or neither: as it is.
struct Wish {
  unsigned bits = 0;  // 4, 5, 6, 8
  std::optional<TensorType> type;

  bool as_it_is() const { return bits == 0 && !type; }
};
// "4", "Q4_0", "F16", "keep". kInvalidArgument names what there is.
Result<Wish> parse_wish(std::string_view text, Target target);

// "PATTERN=WISH": the pattern is a part of a tensor's name between dots ("output", "ffn_down") or all of it
// ("blk.0.attn_v.weight"); '*' stands for anything ("ffn_*", "blk.0.*"). Later rules win.
struct Rule {
  std::string pattern;
  Wish wish;
};
Result<Rule> parse_rule(std::string_view text, Target target);
bool matches(std::string_view pattern, std::string_view name);

struct Choice {
  Target target = Target::kGguf;
  Wish wish;  // of matrices that no rule names
  std::vector<Rule> rules;
  bool pure = false;       // output layer and embedding as all others; else they have 6 bits at least
  std::size_t group = 64;  // of affine forms
  TensorType plain = TensorType::kBF16;  // of what a folder holds unquantised
};

// The model's own plain type for a folder: BF16 where it has any of that, else F16.
TensorType plain_type_of(const Checkpoint& file);

Form choose_form(const Checkpoint& file, const TensorInfo& tensor, const Choice& choice);

}  // namespace kvasir::weights
