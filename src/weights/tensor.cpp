#include "weights/tensor.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace kvasir::weights {
namespace {

struct TypeTraits {
  TensorType type;
  std::string_view name;
  std::size_t elements;  // of a block; 0 for types whose scales lie apart
  std::size_t bytes;
};

constexpr TypeTraits kTypes[] = {
    {TensorType::kF32, "F32", 1, 4},
    {TensorType::kF16, "F16", 1, 2},
    {TensorType::kBF16, "BF16", 1, 2},
    {TensorType::kQ4_0, "Q4_0", 32, 18},
    {TensorType::kQ4_1, "Q4_1", 32, 20},
    {TensorType::kQ5_0, "Q5_0", 32, 22},
    {TensorType::kQ5_1, "Q5_1", 32, 24},
    {TensorType::kQ8_0, "Q8_0", 32, 34},
    {TensorType::kQ4_K, "Q4_K", 256, 144},
    {TensorType::kQ5_K, "Q5_K", 256, 176},
    {TensorType::kQ6_K, "Q6_K", 256, 210},
    {TensorType::kQ2_K, "Q2_K", 256, 84},
    {TensorType::kQ3_K, "Q3_K", 256, 110},
    {TensorType::kIQ1_S, "IQ1_S", 256, 50},
    {TensorType::kIQ1_M, "IQ1_M", 256, 56},
    {TensorType::kIQ2_XXS, "IQ2_XXS", 256, 66},
    {TensorType::kIQ2_XS, "IQ2_XS", 256, 74},
    {TensorType::kIQ2_S, "IQ2_S", 256, 82},
    {TensorType::kIQ3_XXS, "IQ3_XXS", 256, 98},
    {TensorType::kIQ3_S, "IQ3_S", 256, 110},
    {TensorType::kIQ4_NL, "IQ4_NL", 32, 18},
    {TensorType::kIQ4_XS, "IQ4_XS", 256, 136},
    {TensorType::kTQ1_0, "TQ1_0", 256, 54},
    {TensorType::kTQ2_0, "TQ2_0", 256, 66},
    {TensorType::kMXFP4, "MXFP4", 32, 17},
    {TensorType::kNVFP4, "NVFP4", 64, 36},
    {TensorType::kAffine, "affine", 0, 0},
    {TensorType::kFp4, "FP4", 0, 0},
    {TensorType::kFp8, "FP8", 0, 0},
};

const TypeTraits& traits_of(TensorType type) {
  const auto* found = std::ranges::find(kTypes, type, &TypeTraits::type);
  KVASIR_CHECK(found != std::end(kTypes), "every TensorType has a row in kTypes");
  return *found;
}

std::uint64_t ceil_div(std::uint64_t a, std::uint64_t b) {
  return a / b + (a % b != 0 ? 1 : 0);
}

// The part's rows [first, first + count).
TensorPart slice(const TensorPart& part, std::uint64_t first, std::uint64_t count, std::uint64_t row_bytes) {
  TensorPart p = part;
  p.rows = count;
  p.data = part.data.subspan(static_cast<std::size_t>(first * part.step * row_bytes),
                             static_cast<std::size_t>(((count - 1) * part.step + 1) * row_bytes));
  p.scaled_rows_before +=
      first * part.step;  // scales stay as they are: one may cover rows on both sides of the cut
  return p;
}

// Calls f(part, first row in it, count) for the parts of the rows [first, first + count).
template <class F>
void each_part(const TensorInfo& tensor, std::uint64_t first, std::uint64_t count, const F& f) {
  for (const TensorPart& p : tensor.parts) {
    if (count == 0) return;
    if (first >= p.rows) {
      first -= p.rows;
      continue;
    }
    const std::uint64_t n = std::min(count, p.rows - first);
    f(p, first, n);
    count -= n;
    first = 0;
  }
  KVASIR_CHECK(count == 0, "the tensor has the rows that are asked for");
}

}  // namespace

std::string_view name_of(TensorType type) {
  return traits_of(type).name;
}
std::size_t elements_per_block(TensorType type) {
  return traits_of(type).elements;
}
std::size_t bytes_per_block(TensorType type) {
  return traits_of(type).bytes;
}

std::optional<TensorType> gguf_type(std::uint32_t number) {
  const auto* found = std::ranges::find(kTypes, static_cast<TensorType>(number), &TypeTraits::type);
  if (found == std::end(kTypes) || found->elements == 0) return std::nullopt;
  return found->type;
}

std::string gguf_type_names() {
  std::string names;
  for (const TypeTraits& t : kTypes) {
    if (t.elements != 0) names += (names.empty() ? "" : ", ") + std::string(t.name);
  }
  return names;
}

std::string gguf_type_name(std::uint32_t number) {
  if (const auto known = gguf_type(number)) return std::string(name_of(*known));
  constexpr std::pair<std::uint32_t, const char*> kOthers[] = {
      {4, "Q4_2"},        {5, "Q4_3"},        {9, "Q8_1"},        {15, "Q8_K"},
      {24, "I8"},         {25, "I16"},        {26, "I32"},        {27, "I64"},
      {28, "F64"},        {31, "Q4_0_4_4"},   {32, "Q4_0_4_8"},   {33, "Q4_0_8_8"},
      {36, "IQ4_NL_4_4"}, {37, "IQ4_NL_4_8"}, {38, "IQ4_NL_8_8"}, {41, "Q1_0"}};
  for (const auto& [n, name] : kOthers) {
    if (n == number) return name;
  }
  return std::to_string(number);
}

std::uint64_t TensorInfo::rows() const {
  std::uint64_t n = 1;
  for (std::size_t i = 1; i < shape.size(); ++i) n *= shape[i];
  return n;
}

std::uint64_t TensorInfo::bytes() const {
  std::uint64_t n = 0;
  for (const TensorPart& p : parts) n += (p.data.size() + p.scales.size() + p.biases.size()) / p.step;
  return n;
}

std::uint64_t TensorInfo::row_bytes() const {
  const TypeTraits& t = traits_of(type);
  const std::uint64_t stored = transposed ? shape[1] : shape[0];
  if (t.elements == 0) return stored * scaling.bits / 8;
  return stored / t.elements * t.bytes;
}

TensorInfo matrix_of(const TensorInfo& stack, std::uint64_t index) {
  TensorInfo matrix = stack;
  const std::uint64_t rows = stack.shape.size() > 1 ? stack.shape[1] : 1;
  matrix.name += "[" + std::to_string(index) + "]";
  matrix.shape = {stack.columns(), rows};
  matrix.parts.clear();
  const std::uint64_t stored = stack.transposed ? stack.columns() : rows;
  each_part(stack, index * stored, stored,
            [&](const TensorPart& p, std::uint64_t first, std::uint64_t count) {
              matrix.parts.push_back(slice(p, first, count, stack.row_bytes()));
            });
  return matrix;
}

std::vector<TensorRow> rows_of(const TensorInfo& tensor, std::uint64_t first, std::uint64_t count) {
  std::vector<TensorRow> rows;
  rows.reserve(static_cast<std::size_t>(count));
  const std::uint64_t row_bytes = tensor.row_bytes();
  const bool scaled = tensor.scaling.columns != 0;
  const std::uint64_t columns = tensor.transposed ? tensor.shape[1] : tensor.columns();
  const std::uint64_t scales = scaled ? ceil_div(columns, tensor.scaling.columns) : 0;
  const std::uint64_t scale_bytes = scales * kernels::bytes_of(tensor.scaling.type);
  each_part(tensor, first, count, [&](const TensorPart& p, std::uint64_t from, std::uint64_t n) {
    for (std::uint64_t r = from; r < from + n; ++r) {
      TensorRow row{p.data.data() + r * p.step * row_bytes, nullptr, nullptr};
      if (scaled) {
        const std::uint64_t at = (p.scaled_rows_before + r * p.step) / tensor.scaling.rows * scale_bytes;
        row.scales = p.scales.data() + at;
        if (!p.biases.empty()) row.biases = p.biases.data() + at;
      }
      rows.push_back(row);
    }
  });
  return rows;
}

}  // namespace kvasir::weights
