#pragma once
// config.json and the other small files of a folder that is written. Private to this layer.

#include <boost/json.hpp>
#include <string>

#include "base/error.h"
#include "weights/checkpoint.h"
#include "weights/folder_export.h"
#include "weights/hf_families.h"

namespace kvasir::weights {

// The family whose folders hold what GGUF calls `architecture`; null where none is written.
const HfFamily* writable_family(const Checkpoint& file);

// "llama, mistral, ...": of GGUF's metadata.
std::string writable_names();

// config.json, without quantization: a folder's own, or one made of GGUF's metadata. kUnsupported for what
// metadata cannot be turned back into.
Result<boost::json::object> folder_config(const Checkpoint& file, const HfFamily& family, bool mlx);

// Copies or makes tokenizer and template files. kIo.
Status write_text_files(const std::string& folder, const Checkpoint& file, const FolderText& text);

Status write_text(const std::string& path, std::string_view text);

}  // namespace kvasir::weights
