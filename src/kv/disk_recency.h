#pragma once
// Which records were used last, kept over a restart beside the segments. Only a hint: a file that is missing,
// damaged or of another time costs order, never data.

#include <string>

#include "base/error.h"
#include "base/file_system.h"
#include "kv/disk_index.h"

namespace kvasir::kv {

std::string recency_name(std::string_view root_name);
Status save_recency(FileSystem& files, const std::string& folder, std::string_view root_name,
                    const DiskIndex& index);
void load_recency(FileSystem& files, const std::string& folder, std::string_view root_name, DiskIndex& index);

}  // namespace kvasir::kv
