#pragma once
// Tensors of safetensors files -> tensors in GGUF's names, with their scales. Private to this layer.

#include <boost/json.hpp>
#include <memory>
#include <span>

#include "weights/folder_data.h"
#include "weights/hf_families.h"
#include "weights/safetensors.h"

namespace kvasir::weights {

// Adds every tensor of `files` to data.tensors. kUnsupported, by name, for a tensor that the family does not
// have, a quantisation that this build does not read, or elements of another kind; kCorruptData where parts
// that belong together do not fit.
Status read_hf_tensors(const boost::json::object& config, const HfFamily& family,
                       std::span<const std::shared_ptr<const SafetensorsFile>> files, FolderData& data);

}  // namespace kvasir::weights
