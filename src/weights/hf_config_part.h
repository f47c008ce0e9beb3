#pragma once
// The parts of hf_config.cpp that are files of their own. Private to this layer.

#include <boost/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "weights/folder_data.h"
#include "weights/hf_families.h"

namespace kvasir::weights {

inline constexpr std::size_t kMostLayers = 4096;
inline constexpr std::size_t kMostHeadDim = 4096;
inline constexpr double kMostWidth = 1U << 22;

class ConfigPart {
 public:
  // `config` is that of the text model.
  ConfigPart(const boost::json::object& config, const HfFamily& family, FolderData& data)
      : config_(config), family_(family), data_(data) {}

 protected:
  void set(std::string_view key, MetaValue value) {
    data_.set(std::string(family_.architecture) + "." + std::string(key), std::move(value));
  }
  double number(std::string_view name, double otherwise) const {
    return number_field(config_, name).value_or(otherwise);
  }

  const boost::json::object& config_;
  const HfFamily& family_;
  FolderData& data_;
};

// Llama 3.1: long wavelengths are stretched, short ones kept, those between blended.
struct Llama3Rope {
  double factor = 8;
  double low = 1;
  double high = 4;
  double context = 8192;  // that was trained

  // Of the frequencies of `dim` dimensions: what GGUF keeps as a tensor.
  std::vector<float> divisors(double base, std::size_t dim) const;
};

// Rotary embedding: its base, how it is scaled, how much of a head and which layers are rotated.
Status read_hf_rope(const boost::json::object& config, const HfFamily& family, FolderData& data);
// What layers differ in: windows, and which keep a state.
Status read_hf_layers(const boost::json::object& config, const HfFamily& family, FolderData& data);

}  // namespace kvasir::weights
