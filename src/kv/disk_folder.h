#pragma once
// A whole folder of segments, all models, for the tools that people run over it (kvasir cache ...).

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "kv/disk_index.h"
#include "kv/segment_scan.h"

namespace kvasir::kv {

// The records of one model, found without knowing it: the segments name their root.
struct FolderRoot {
  std::string name;
  std::string label;  // of the newest segment
  std::uint64_t block_bytes = 0;
  std::unique_ptr<DiskIndex> index;
};

struct FolderSegment {
  bool foreign = false;  // another version or byte order, or no sound header
  std::uint64_t allocated = 0;
  std::uint64_t live = 0;
  std::vector<Extent> dead;
};

struct LoadedFolder {
  std::vector<FolderRoot> roots;
  std::map<std::uint32_t, FolderSegment> segments;
  std::uint64_t bad_records = 0;
  std::uint64_t orphans = 0;
  std::uint64_t foreign_segments = 0;
  std::vector<std::string> problems;
};

// Reads all headers. kNotFound, kIo: the folder cannot be listed.
Result<LoadedFolder> load_folder(FileSystem& files, const std::string& folder);

// Reads the payload of a record and checks it.
Result<std::vector<std::byte>> read_payload(FileSystem& files, const std::string& folder,
                                            const RecordPlace& place);

}  // namespace kvasir::kv
