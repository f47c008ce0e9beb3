#include "kv/disk_folder.h"

#include <algorithm>
#include <tuple>

#include "kv/disk_recency.h"

namespace kvasir::kv {
namespace {

FolderRoot& root_of(LoadedFolder& folder, const SegmentHeader& header) {
  for (FolderRoot& root : folder.roots) {
    if (root.name != header.root_name || root.block_bytes != header.block_bytes) continue;
    root.label = header.label;
    return root;
  }
  folder.roots.push_back({header.root_name, header.label, header.block_bytes,
                          std::make_unique<DiskIndex>(header.root_name, hash_block)});
  return folder.roots.back();
}

void take_segment(LoadedFolder& folder, const File& file, std::uint32_t id) {
  SegmentScan scan = scan_segment(file, id);
  folder.problems.insert(folder.problems.end(), scan.problems.begin(), scan.problems.end());
  folder.bad_records += scan.torn + (scan.kind == PageKind::kUnsound ? 1 : 0);
  FolderSegment& segment = folder.segments[id];
  const auto allocated = file.allocated();
  segment.allocated = allocated.ok() ? *allocated : scan.end;
  segment.dead = std::move(scan.dead);
  segment.foreign = scan.kind != PageKind::kSound;
  if (scan.kind == PageKind::kForeign) ++folder.foreign_segments;
  if (segment.foreign) return;
  FolderRoot& root = root_of(folder, scan.header);
  for (RecordHeader& record : scan.records) {
    const Extent extent{record.offset, record_extent(record.payload_bytes)};
    if (root.index->add(std::move(record)) == DiskIndex::Added::kRejected) {
      segment.dead.push_back(extent);
    } else {
      segment.live += extent.bytes;
    }
  }
}

void verify(FileSystem& files, const std::string& path, LoadedFolder& folder,
            const std::function<void(double)>& progress) {
  std::uint64_t all = 0;
  std::uint64_t done = 0;
  for (const FolderRoot& root : folder.roots) all += root.index->records();
  for (const FolderRoot& root : folder.roots) {
    for (const RecordId id : root.index->in_tree_order()) {
      if (progress && all > 0) progress(static_cast<double>(done++) / static_cast<double>(all));
      const auto place = root.index->place(id);
      if (!place) continue;  // continues a damaged one
      const auto payload = read_payload(files, path, *place);
      if (payload.ok()) continue;
      folder.problems.push_back(payload.error().message);
      ++folder.bad_records;
      folder.orphans += root.index->remove(id).size() - 1;
    }
  }
}

}  // namespace

void sort_newest_first(std::vector<DiskConversation>& conversations) {
  std::ranges::sort(conversations, [](const DiskConversation& a, const DiskConversation& b) {
    return std::tie(a.written_unix_seconds, a.segment, a.offset) >
           std::tie(b.written_unix_seconds, b.segment, b.offset);
  });
}

Result<LoadedFolder> load_folder(FileSystem& files, const std::string& folder) {
  KVASIR_ASSIGN_OR_RETURN(const auto names, files.list(folder));
  LoadedFolder loaded;
  for (const std::string& name : names) {
    const auto id = parse_segment_name(name);
    if (!id) continue;
    const auto file = files.open(path_in(folder, name), OpenMode::kRead);
    if (file.ok()) {
      take_segment(loaded, **file, *id);
    } else {
      loaded.problems.push_back(file.error().message);
    }
  }
  for (const FolderRoot& root : loaded.roots) {
    for (const RecordPlace& orphan : root.index->take_orphans()) {
      ++loaded.orphans;
      loaded.segments[orphan.segment].live -= orphan.extent();
      loaded.segments[orphan.segment].dead.push_back({orphan.offset, orphan.extent()});
    }
    load_recency(files, folder, root.name, *root.index);
  }
  return loaded;
}

Result<std::vector<std::byte>> read_payload(FileSystem& files, const std::string& folder,
                                            const RecordPlace& place) {
  const std::string path = path_in(folder, segment_name(place.segment));
  KVASIR_ASSIGN_OR_RETURN(const auto file, files.open(path, OpenMode::kRead));
  // The scan has seen that the file is this long, so a damaged length cannot ask for any amount of memory.
  std::vector<std::byte> payload(place.payload_bytes);
  KVASIR_ASSIGN_OR_RETURN(const auto got, file->read_at(place.offset + kPageBytes, payload));
  if (got == payload.size() && checksum(payload) == place.payload_hash) return payload;
  return make_error(
      ErrorCode::kCorruptData,
      segment_name(place.segment) + " at " + std::to_string(place.offset) + ": the payload is damaged", path);
}

Result<DiskFolderReport> inspect_disk_folder(FileSystem& files, const std::string& folder,
                                             bool verify_payloads,
                                             const std::function<void(double)>& progress) {
  KVASIR_ASSIGN_OR_RETURN(LoadedFolder loaded, load_folder(files, folder));
  if (verify_payloads) verify(files, folder, loaded, progress);
  DiskFolderReport report;
  for (const auto& [id, segment] : loaded.segments) report.bytes += segment.allocated;
  for (const FolderRoot& root : loaded.roots) {
    report.records += root.index->records();
    for (const RecordId leaf : root.index->leaf_ids()) {
      report.conversations.push_back(root.index->describe(leaf));
      report.conversations.back().label = root.label;
    }
  }
  report.bad_records = loaded.bad_records;
  report.orphans = loaded.orphans;
  report.foreign_segments = loaded.foreign_segments;
  report.problems = std::move(loaded.problems);
  sort_newest_first(report.conversations);
  if (progress) progress(1.0);
  return report;
}

}  // namespace kvasir::kv
