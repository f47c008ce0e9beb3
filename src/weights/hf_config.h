#pragma once
// config.json -> GGUF's metadata keys. Private to this layer.

#include <boost/json.hpp>

#include "weights/folder_data.h"
#include "weights/hf_families.h"

namespace kvasir::weights {

// The part of config.json that describes the text model: its text_config, where it has one.
const boost::json::object& text_config(const boost::json::object& config);
const boost::json::object& text_config(const boost::json::object&& config) = delete;

// kUnsupported, by name, for a family that is not in the table.
Result<const HfFamily*> family_of(const boost::json::object& config, const FolderData& data);

// Sets every key that the family's fields, its rotary embedding and its attention windows give. kCorruptData
// for fields of the wrong kind; kUnsupported, by name, for what the field asks and this build lacks.
Status read_hf_config(const boost::json::object& config, const HfFamily& family, FolderData& data);

// The way back: a config.json made of GGUF's metadata, which transformers and mlx-lm read. kUnsupported for
// what it has no field for. (hf_config_write.cpp)
Result<boost::json::object> config_of_metadata(const Checkpoint& file, const HfFamily& family);

}  // namespace kvasir::weights
