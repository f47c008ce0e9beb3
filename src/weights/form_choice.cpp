#include "weights/form_choice.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace kvasir::weights {
namespace {

using kernels::ScaleType;

constexpr std::array<unsigned, 4> kBits = {4, 5, 6, 8};
constexpr std::array kGgufTypes = {TensorType::kF32,  TensorType::kF16,  TensorType::kBF16, TensorType::kQ4_0,
                                   TensorType::kQ4_1, TensorType::kQ5_0, TensorType::kQ5_1, TensorType::kQ8_0,
                                   TensorType::kQ4_K, TensorType::kQ5_K, TensorType::kQ6_K};
constexpr std::array kPlainTypes = {TensorType::kF32, TensorType::kF16, TensorType::kBF16};

// Output layer and embedding are looked at by every token: what they lose shows most.
constexpr unsigned kLeastOuterBits = 6;

std::string upper(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return out;
}

bool is_plain(TensorType t) {
  return std::ranges::find(kPlainTypes, t) != kPlainTypes.end();
}

// Matrices that are multiplied with, or looked up in; routers of experts are few weights that decide much.
bool is_quantizable(const TensorInfo& t) {
  return t.shape.size() >= 2 && t.columns() % 32 == 0 && t.name.ends_with(".weight") && t.plus == 0 &&
         t.name.find("ffn_gate_inp") == std::string::npos && t.name.find("norm") == std::string::npos;
}

// What models in bf16 keep in 32 bits: what experts are chosen by, and rates of decay.
bool stays_exact(const TensorInfo& t) {
  return t.name.find("exp_probs_b") != std::string::npos || t.name.ends_with(".ssm_a");
}

// The GGUF type of so many bits whose blocks a row is made of.
TensorType gguf_type_of(unsigned bits, std::uint64_t columns) {
  const bool super = columns % 256 == 0;
  switch (bits) {
    case 4:
      return super ? TensorType::kQ4_K : TensorType::kQ4_1;
    case 5:
      return super ? TensorType::kQ5_K : TensorType::kQ5_1;
    case 6:
      return super ? TensorType::kQ6_K : TensorType::kQ8_0;
    default:
      return TensorType::kQ8_0;
  }
}

// Where rows are no whole super-blocks: the type with as many bits or more.
TensorType fitting(TensorType type, std::uint64_t columns) {
  if (columns % elements_per_block(type) == 0) return type;
  if (type == TensorType::kQ4_K) return TensorType::kQ4_1;
  return type == TensorType::kQ5_K ? TensorType::kQ5_1 : TensorType::kQ8_0;
}

Form affine_form(unsigned bits, const TensorInfo& t, const Choice& choice) {
  Form form{TensorType::kAffine, {bits, choice.group, ScaleType::kF16}};
  if (choice.plain == TensorType::kBF16) form.affine.scales = ScaleType::kBF16;
  while (t.columns() % form.affine.group != 0) form.affine.group /= 2;
  return form;
}

Form as_it_is(const TensorInfo& t, const Choice& choice) {
  const auto exact = choice.target == Target::kGguf ? exact_gguf_form(t) : exact_mlx_form(t);
  if (exact) return *exact;
  if (choice.target == Target::kGguf && t.type == TensorType::kAffine) return {TensorType::kQ8_0, {}};
  return {choice.target == Target::kGguf ? TensorType::kBF16 : choice.plain, {}};
}

}  // namespace

Result<Wish> parse_wish(std::string_view text, Target target) {
  Wish wish;
  if (text == "keep") return wish;
  for (const unsigned bits : kBits) {
    if (text == std::to_string(bits)) {
      wish.bits = bits;
      return wish;
    }
  }
  std::string names = "4, 5, 6, 8, keep";
  const auto known = [&](const auto& types) {
    for (const TensorType t : types) {
      if (name_of(t) == upper(text)) wish.type = t;
      names += ", " + std::string(name_of(t));
    }
  };
  if (target == Target::kGguf)
    known(kGgufTypes);
  else
    known(kPlainTypes);
  if (wish.type) return wish;
  return make_error(ErrorCode::kInvalidArgument,
                    "'" + std::string(text) + "' is not a way to store weights; these are: " + names,
                    std::string(text));
}

Result<Rule> parse_rule(std::string_view text, Target target) {
  const std::size_t equals = text.rfind('=');
  if (equals == std::string_view::npos || equals == 0) {
    return make_error(ErrorCode::kInvalidArgument,
                      "'" + std::string(text) + "' is not PATTERN=BITS, like 'ffn_down=6'",
                      std::string(text));
  }
  KVASIR_ASSIGN_OR_RETURN(const Wish wish, parse_wish(text.substr(equals + 1), target));
  return Rule{std::string(text.substr(0, equals)), wish};
}

namespace {

bool glob(std::string_view pattern, std::string_view text) {
  if (pattern.empty()) return text.empty();
  if (pattern.front() != '*') {
    return !text.empty() && pattern.front() == text.front() && glob(pattern.substr(1), text.substr(1));
  }
  for (std::size_t skip = 0; skip <= text.size(); ++skip) {
    if (glob(pattern.substr(1), text.substr(skip))) return true;
  }
  return false;
}

}  // namespace

bool matches(std::string_view pattern, std::string_view name) {
  if (glob(pattern, name)) return true;
  for (std::string_view rest = name; !rest.empty();) {
    const std::size_t dot = std::min(rest.find('.'), rest.size());
    if (glob(pattern, rest.substr(0, dot))) return true;
    rest.remove_prefix(std::min(dot + 1, rest.size()));
  }
  return false;
}

TensorType plain_type_of(const Checkpoint& file) {
  const bool bf16 = std::ranges::any_of(file.tensors(), [](const TensorInfo& t) {
    return t.type == TensorType::kBF16 || (t.scaling.columns != 0 && t.scaling.type == ScaleType::kBF16);
  });
  return bf16 ? TensorType::kBF16 : TensorType::kF16;
}

Form choose_form(const Checkpoint& file, const TensorInfo& t, const Choice& choice) {
  const bool gguf = choice.target == Target::kGguf;
  // What is no matrix is small, and read as floats.
  if (!gguf && t.type == TensorType::kF32 && stays_exact(t)) return {t.type, {}};
  if (t.shape.size() < 2 || t.name.find("ffn_gate_inp") != std::string::npos)
    return {gguf ? TensorType::kF32 : choice.plain, {}};
  if (!is_quantizable(t))
    return gguf ? Form{is_plain(t.type) ? t.type : TensorType::kF32, {}} : Form{choice.plain, {}};
  Wish wish = choice.wish;
  const bool tied = file.tensor("output.weight") == nullptr;
  const bool outer = t.name == "output.weight" || (tied && t.name == "token_embd.weight");
  if (outer && !choice.pure && wish.bits != 0) wish.bits = std::max(wish.bits, kLeastOuterBits);
  for (const Rule& rule : choice.rules) {
    if (matches(rule.pattern, t.name)) wish = rule.wish;
  }
  if (wish.as_it_is()) return as_it_is(t, choice);
  if (wish.type) return {fitting(*wish.type, t.columns()), {}};
  return gguf ? Form{gguf_type_of(wish.bits, t.columns()), {}} : affine_form(wish.bits, t, choice);
}

}  // namespace kvasir::weights
