#pragma once
// A folder's tokenizer, template and generation files -> the keys that weights/folder.h names. Private to
// this layer.

#include <boost/json.hpp>

#include "weights/folder_data.h"

namespace kvasir::weights {

// kCorruptData for files that are no JSON; files that are missing set nothing.
Status read_hf_text(const boost::json::object& config, FolderData& data);

}  // namespace kvasir::weights
