#pragma once
// How a folder's matrices are quantised, by its config.json. Private to this layer.

#include <boost/json.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "weights/folder_data.h"
#include "weights/safetensors.h"

namespace kvasir::weights {

// One module's tensors, as files have them.
struct ModuleTensors {
  std::string name;  // "model.layers.0.mlp.up_proj"
  const SafeTensor* weight = nullptr;
  const SafeTensor* bias = nullptr;
  const SafeTensor* scales = nullptr;  // of MLX, or of FP8 (weight_scale_inv, weight_scale)
  const SafeTensor* biases = nullptr;
};

// How a module's weight is stored, and its shape in elements.
struct StoredMatrix {
  TensorType type = TensorType::kF32;
  Scaling scaling;
  std::vector<std::uint64_t> shape;  // row-major, as in files
};

class HfQuantization {
 public:
  // Reads `quantization` and `quantization_config`. kUnsupported, by name, for methods that this build does
  // not read.
  static Result<HfQuantization> read(const boost::json::object& config, const FolderData& data);

  // Checks that the parts fit each other.
  Result<StoredMatrix> stored(const ModuleTensors& module, const FolderData& data) const;

 private:
  // MLX's choice for a module.
  struct Mlx {
    std::string_view mode = "affine";
    std::uint64_t bits = 4;
    std::uint64_t group = 64;
  };
  Mlx mlx_of(std::string_view module) const;
  Result<StoredMatrix> mlx_stored(const ModuleTensors& module, const FolderData& data) const;
  // gpt-oss: (..., columns / 32, 16) bytes of codes, two in a byte, and (..., columns / 32) scales.
  Result<StoredMatrix> mxfp4_stored(const ModuleTensors& module, const FolderData& data) const;
  Result<StoredMatrix> fp8_stored(const ModuleTensors& module, const FolderData& data) const;

  const boost::json::object* mlx_ = nullptr;  // into the config
  bool mxfp4_ = false;
  std::uint64_t block_rows_ = 0;  // of FP8's scales; 0 where their shape says
  std::uint64_t block_columns_ = 0;
};

}  // namespace kvasir::weights
