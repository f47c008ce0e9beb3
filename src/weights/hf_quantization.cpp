#include "weights/hf_quantization.h"

#include <algorithm>
#include <array>
#include <limits>

#include "weights/hf_config.h"

namespace kvasir::weights {
namespace {

namespace json = boost::json;
using kernels::ScaleType;

std::optional<ScaleType> scale_type(Element element) {
  switch (element) {
    case Element::kF32:
      return ScaleType::kF32;
    case Element::kF16:
      return ScaleType::kF16;
    case Element::kBF16:
      return ScaleType::kBF16;
    default:
      return std::nullopt;
  }
}

std::optional<TensorType> plain_type(Element element) {
  switch (element) {
    case Element::kF32:
      return TensorType::kF32;
    case Element::kF16:
      return TensorType::kF16;
    case Element::kBF16:
      return TensorType::kBF16;
    default:
      return std::nullopt;
  }
}

std::uint64_t ceil_div(std::uint64_t a, std::uint64_t b) {
  return a / b + (a % b != 0 ? 1 : 0);
}

std::string quoted(std::string_view text) {
  return "'" + std::string(text) + "'";
}

// What MLX's modes other than affine are made of.
struct FpMode {
  std::string_view name;
  TensorType type;
  unsigned bits;
  std::uint64_t group;
  ScaleType scale;
};
constexpr FpMode kFpModes[] = {
    {"mxfp4", TensorType::kFp4, 4, 32, ScaleType::kE8M0},
    {"nvfp4", TensorType::kFp4, 4, 16, ScaleType::kE4M3},
    {"mxfp8", TensorType::kFp8, 8, 32, ScaleType::kE8M0},
};
constexpr std::array<std::uint64_t, 6> kAffineBits = {2, 3, 4, 5, 6, 8};
constexpr std::array<std::uint64_t, 3> kAffineGroups = {32, 64, 128};

std::uint64_t natural_field(const json::object& o, std::string_view name, std::uint64_t fallback) {
  const auto v = number_field(o, name);
  return v && *v >= 0 && *v <= 1e9 ? static_cast<std::uint64_t>(*v) : fallback;
}

// FP8 as compressed-tensors writes it: plain 8-bit floats for weights.
bool is_compressed_fp8(const json::object& q) {
  if (text_field(q, "format") != "float-quantized" && text_field(q, "format") != "naive-quantized")
    return false;
  const json::object* groups = object_field(q, "config_groups");
  if (groups == nullptr) return false;
  return std::ranges::all_of(*groups, [](const auto& entry) {
    const json::object* group = entry.value().if_object();
    const json::object* weights = group != nullptr ? object_field(*group, "weights") : nullptr;
    return weights != nullptr && text_field(*weights, "type") == "float" &&
           number_field(*weights, "num_bits").value_or(0) == 8;
  });
}

}  // namespace

Result<HfQuantization> HfQuantization::read(const json::object& config, const FolderData& data) {
  HfQuantization q;
  const json::object* given = object_field(config, "quantization");
  if (given == nullptr) given = object_field(config, "quantization_config");
  if (given == nullptr) given = object_field(text_config(config), "quantization_config");
  if (given == nullptr) return q;
  const std::string_view method = text_field(*given, "quant_method");
  if (method.empty()) {
    if (field(*given, "bits") == nullptr && field(*given, "mode") == nullptr) {
      return data.unsupported("config.json: its quantization names neither a method nor bits");
    }
    q.mlx_ = given;
    return q;
  }
  if (method == "compressed-tensors" && is_compressed_fp8(*given)) return q;
  q.mxfp4_ = method == "mxfp4";
  if (q.mxfp4_) return q;
  if (method != "fp8") {
    const std::string_view format = text_field(*given, "format");
    return data.unsupported("weights quantised by " + quoted(method) +
                            (format.empty() ? "" : " (" + std::string(format) + ")") +
                            " are not supported; plain, FP8, MXFP4 and MLX's are");
  }
  const json::value* block = field(*given, "weight_block_size");
  if (const json::array* sizes = block != nullptr ? block->if_array() : nullptr) {
    const auto size = [&](std::size_t i) -> std::uint64_t {
      if (sizes->size() != 2 || !(*sizes)[i].is_int64()) return 0;
      const std::int64_t n = (*sizes)[i].get_int64();
      return n > 0 && n <= 65536 ? static_cast<std::uint64_t>(n) : 0;
    };
    q.block_rows_ = size(0);
    q.block_columns_ = size(1);
    if (q.block_rows_ == 0 || q.block_columns_ % 32 != 0 || q.block_columns_ == 0) {
      return data.unsupported(
          "config.json: its weight_block_size is not supported; multiples of 32 columns are");
    }
  }
  return q;
}

HfQuantization::Mlx HfQuantization::mlx_of(std::string_view module) const {
  Mlx choice;
  const auto take = [&](const json::object& o) {
    if (const std::string_view mode = text_field(o, "mode"); !mode.empty()) choice.mode = mode;
    choice.bits = natural_field(o, "bits", choice.bits);
    choice.group = natural_field(o, "group_size", choice.group);
  };
  take(*mlx_);
  if (const json::object* own = object_field(*mlx_, module)) {
    // What an override leaves out is its mode's own, not the folder's.
    choice = {};
    take(*own);
  }
  return choice;
}

Result<StoredMatrix> HfQuantization::stored(const ModuleTensors& m, const FolderData& data) const {
  if (m.scales != nullptr && m.weight->element == Element::kU32) return mlx_stored(m, data);
  if (m.weight->element == Element::kF8E4M3) return fp8_stored(m, data);
  if (mxfp4_ && m.scales != nullptr && m.weight->element == Element::kU8) return mxfp4_stored(m, data);
  const auto type = plain_type(m.weight->element);
  if (!type || m.scales != nullptr || m.biases != nullptr) {
    return data.unsupported("tensor " + quoted(m.weight->name) + " of type " +
                            std::string(name_of(m.weight->element)) +
                            " is not supported; F32, F16, BF16, F8_E4M3 with scales and MLX's quantised are");
  }
  return StoredMatrix{*type, {}, m.weight->shape};
}

Result<StoredMatrix> HfQuantization::mlx_stored(const ModuleTensors& m, const FolderData& data) const {
  if (mlx_ == nullptr) {
    return data.corrupt("module " + quoted(m.name) + " is quantised, but config.json has no quantization");
  }
  const Mlx choice = mlx_of(m.name);
  StoredMatrix s;
  s.shape = m.weight->shape;
  Scaling& q = s.scaling;
  bool fits = s.shape.size() >= 2 && m.scales->shape.size() == s.shape.size();
  if (choice.mode == "affine") {
    const auto type = scale_type(m.scales->element);
    if (!type || std::ranges::find(kAffineBits, choice.bits) == kAffineBits.end() ||
        std::ranges::find(kAffineGroups, choice.group) == kAffineGroups.end()) {
      return data.unsupported("module " + quoted(m.name) + " has " + std::to_string(choice.bits) +
                              "-bit affine weights in groups of " + std::to_string(choice.group) + " with " +
                              std::string(name_of(m.scales->element)) +
                              " scales; 2, 3, 4, 5, 6 and 8 bits in groups of 32, 64 and 128 are supported");
    }
    s.type = TensorType::kAffine;
    q = {static_cast<unsigned>(choice.bits), *type, choice.group, 1};
    fits = fits && m.biases != nullptr && m.biases->element == m.scales->element &&
           m.biases->shape == m.scales->shape;
  } else {
    const auto* mode = std::ranges::find(kFpModes, choice.mode, &FpMode::name);
    if (mode == std::end(kFpModes)) {
      return data.unsupported("module " + quoted(m.name) + ": quantisation mode " + quoted(choice.mode) +
                              " is not supported; affine, mxfp4, mxfp8 and nvfp4 are");
    }
    s.type = mode->type;
    q = {mode->bits, mode->scale, mode->group, 1};
    fits = fits && m.biases == nullptr && m.scales->element == Element::kU8;
  }
  if (fits) {
    const std::uint64_t columns = m.scales->shape.back() * q.columns;
    fits = columns != 0 && columns % 32 == 0 && s.shape.back() * 32 == columns * q.bits &&
           std::equal(s.shape.begin(), s.shape.end() - 1, m.scales->shape.begin());
    s.shape.back() = columns;
  }
  if (!fits) {
    return data.corrupt("module " + quoted(m.name) + ": its weight and scales do not fit " +
                        std::string(choice.mode) + " of " + std::to_string(q.bits) + " bits in groups of " +
                        std::to_string(q.columns));
  }
  return s;
}

Result<StoredMatrix> HfQuantization::mxfp4_stored(const ModuleTensors& m, const FolderData& data) const {
  StoredMatrix s;
  s.type = TensorType::kFp4;
  s.scaling = {4, ScaleType::kE8M0, 32, 1};
  s.shape = m.scales->shape;
  std::vector<std::uint64_t> blocks = s.shape;
  blocks.push_back(16);
  if (s.shape.size() < 2 || m.scales->element != Element::kU8 || m.weight->shape != blocks ||
      s.shape.back() == 0)
    return data.corrupt("module " + quoted(m.name) + ": its blocks and scales do not fit MXFP4");
  s.shape.back() *= 32;
  return s;
}

Result<StoredMatrix> HfQuantization::fp8_stored(const ModuleTensors& m, const FolderData& data) const {
  StoredMatrix s;
  s.type = TensorType::kFp8;
  s.shape = m.weight->shape;
  const auto type = m.scales != nullptr ? scale_type(m.scales->element) : std::nullopt;
  if (!type || s.shape.size() != 2 || s.shape[1] % 32 != 0) {
    return data.unsupported(
        "tensor " + quoted(m.weight->name) +
        ": FP8 is supported for matrices of multiples of 32 columns, with scales in F32, F16 or BF16");
  }
  const auto [rows, columns] = std::pair(s.shape[0], s.shape[1]);
  const std::vector<std::uint64_t>& shape = m.scales->shape;
  s.scaling = {8, *type, columns, std::numeric_limits<std::uint32_t>::max()};
  if (m.scales->count() == 1) return s;  // one for all
  if (block_rows_ != 0 && shape.size() == 2 && shape[0] == ceil_div(rows, block_rows_) &&
      shape[1] == ceil_div(columns, block_columns_)) {
    s.scaling.columns = block_columns_;
    s.scaling.rows = block_rows_;
    return s;
  }
  const bool by_row = !shape.empty() && shape[0] == rows && m.scales->count() == rows;
  if (!by_row) return data.corrupt("tensor " + quoted(m.scales->name) + " does not fit its weight");
  s.scaling.rows = 1;
  return s;
}

}  // namespace kvasir::weights
