// Making a folder smaller by hand, all models.

#include "kv/disk_folder.h"

namespace kvasir::kv {
namespace {

class Pruner {
 public:
  Pruner(FileSystem& files, const std::string& folder, LoadedFolder loaded)
      : files_(files), folder_(folder), loaded_(std::move(loaded)) {
    for (const auto& [id, segment] : loaded_.segments) total_ += segment.allocated;
  }

  Result<std::uint64_t> run(std::uint64_t keep_bytes) {
    const std::uint64_t before = total_;
    // What nobody can read goes first.
    while (total_ > keep_bytes && drop_useless()) {
    }
    KVASIR_RETURN_IF_ERROR(status_);
    while (total_ > keep_bytes) {
      FolderRoot* root = least_valuable();
      if (root == nullptr) break;
      const auto gone = root->index->evict(std::nullopt);
      FolderSegment& segment = loaded_.segments.at(gone->segment);
      segment.live -= gone->extent();
      KVASIR_RETURN_IF_ERROR(give_back(gone->segment, {gone->offset, gone->extent()}));
    }
    return before - total_;
  }

 private:
  // Removes one foreign or empty segment, or the rubbish in one; false when there is no more.
  bool drop_useless() {
    for (auto& [id, segment] : loaded_.segments) {
      if (segment.foreign || segment.live == 0) {
        status_ = remove(id);
        return status_.ok();
      }
      if (segment.dead.empty() || !can_punch_) continue;
      const Extent extent = segment.dead.back();
      segment.dead.pop_back();
      status_ = give_back(id, extent);
      return status_.ok();
    }
    return false;
  }

  FolderRoot* least_valuable() {
    FolderRoot* best = nullptr;
    for (FolderRoot& root : loaded_.roots) {
      if (root.index->leaves() == 0) continue;
      if (best == nullptr || root.index->lowest_priority() < best->index->lowest_priority()) best = &root;
    }
    return best;
  }

  // Without holes the space comes back when all of the segment has gone.
  Status give_back(std::uint32_t id, const Extent& extent) {
    if (loaded_.segments.at(id).live == 0) return remove(id);
    if (!can_punch_) return {};
    KVASIR_ASSIGN_OR_RETURN(const auto file,
                            files_.open(path_in(folder_, segment_name(id)), OpenMode::kReadWrite));
    Status punched = file->punch_hole(extent.offset, extent.bytes);
    if (!punched.ok() && punched.error().code != ErrorCode::kUnsupported) return punched;
    can_punch_ = punched.ok();
    const auto allocated = file->allocated();
    if (allocated.ok()) recount(loaded_.segments.at(id), *allocated);
    return {};
  }

  Status remove(std::uint32_t id) {
    KVASIR_RETURN_IF_ERROR(files_.remove(path_in(folder_, segment_name(id))));
    recount(loaded_.segments.at(id), 0);
    loaded_.segments.erase(id);
    return {};
  }

  void recount(FolderSegment& segment, std::uint64_t allocated) {
    total_ = total_ - segment.allocated + allocated;
    segment.allocated = allocated;
  }

  FileSystem& files_;
  const std::string& folder_;
  LoadedFolder loaded_;
  std::uint64_t total_ = 0;
  bool can_punch_ = true;
  Status status_;
};

}  // namespace

Result<std::uint64_t> prune_disk_folder(FileSystem& files, const std::string& folder,
                                        std::uint64_t keep_bytes) {
  KVASIR_ASSIGN_OR_RETURN(const auto names, files.list(folder));  // kNotFound before a lock would make a file
  KVASIR_ASSIGN_OR_RETURN(const auto lock, files.try_lock(folder + "/lock"));
  if (lock == nullptr) {
    return make_error(ErrorCode::kUnavailable, "another process writes the KV cache in " + folder, folder);
  }
  KVASIR_ASSIGN_OR_RETURN(LoadedFolder loaded, load_folder(files, folder));
  for (const std::string& name : names) {
    // Without records their order means nothing.
    if (keep_bytes == 0 && name.starts_with("recency-")) (void)files.remove(path_in(folder, name)).ok();
  }
  return Pruner(files, folder, std::move(loaded)).run(keep_bytes);
}

}  // namespace kvasir::kv
