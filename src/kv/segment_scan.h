#pragma once
// Reads a segment from end to end, headers only: what is in it, and what is rubbish.

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file_system.h"
#include "kv/segment_format.h"

namespace kvasir::kv {

// A run of whole pages of a segment.
struct Extent {
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
};

struct SegmentScan {
  PageKind kind = PageKind::kUnsound;
  SegmentHeader header;               // where kind is kSound
  std::vector<RecordHeader> records;  // sound, in the order of their offsets; payloads unread
  std::vector<Extent> dead;           // data that belongs to no sound record
  std::uint64_t end = 0;              // size of the file, rounded up to pages
  std::uint64_t torn = 0;             // runs of dead pages, and headers whose payloads are cut off
  std::vector<std::string> problems;  // for a person: where and what
  bool read_failed = false;           // the operating system refused: what follows was not seen
};

// Scans `file` as the segment `id`. Anything unsound costs itself only: the scan goes on one page further.
SegmentScan scan_segment(const File& file, std::uint32_t id);

}  // namespace kvasir::kv
