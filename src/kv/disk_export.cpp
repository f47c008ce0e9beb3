// A folder's records in one file, and back, while no server runs on it.

#include <limits>

#include "kv/disk_folder.h"
#include "kv/record_file.h"

namespace kvasir::kv {
namespace {

Status write_model(FileSystem& files, const std::string& folder, FolderRoot& root, RecordFileWriter& out) {
  KVASIR_RETURN_IF_ERROR(out.begin_model(root.name, root.label, root.block_bytes));
  for (const RecordId id : root.index->in_tree_order()) {
    const auto place = root.index->place(id);
    if (!place) continue;  // continues a damaged one
    const auto payload = read_payload(files, folder, *place);
    if (!payload.ok()) {
      (void)root.index->remove(id);
      continue;
    }
    KVASIR_RETURN_IF_ERROR(out.add(root.index->header(id), *payload));
  }
  return {};
}

// Every model into a store of its own, one after the other.
class FolderSink final : public RecordSink {
 public:
  FolderSink(FileSystem& files, const std::string& folder) : files_(files), folder_(folder) {}

  Result<bool> begin_model(const SegmentHeader& header) override {
    KVASIR_RETURN_IF_ERROR(end_model());
    DiskStoreOptions options;
    options.folder = folder_;
    options.root_name = header.root_name;
    options.label = header.label;
    options.block_bytes = header.block_bytes;
    // The next server keeps its own budget.
    options.capacity_bytes = std::numeric_limits<std::uint64_t>::max() / 2;
    KVASIR_ASSIGN_OR_RETURN(store_, DiskStore::open(files_, std::move(options)));
    if (!store_->stats().read_only) return true;
    return make_error(ErrorCode::kUnavailable, store_->warning(), folder_);
  }

  Status take(const RecordHeader& header, std::span<const std::byte> payload, double /*done*/) override {
    return store_->append(header.name_space, header.parent, header.tokens, header.first, payload);
  }

  Status end_model() {
    if (store_ == nullptr) return {};
    KVASIR_RETURN_IF_ERROR(store_->sync());
    records_ += store_->stats().appended_records;
    store_.reset();
    return {};
  }

  std::uint64_t records() const { return records_; }

 private:
  FileSystem& files_;
  const std::string& folder_;
  std::unique_ptr<DiskStore> store_;
  std::uint64_t records_ = 0;
};

}  // namespace

Result<std::uint64_t> export_disk_folder(FileSystem& files, const std::string& folder,
                                         const std::string& path) {
  KVASIR_ASSIGN_OR_RETURN(LoadedFolder loaded, load_folder(files, folder));
  KVASIR_ASSIGN_OR_RETURN(const auto out, RecordFileWriter::create(files, path));
  for (FolderRoot& root : loaded.roots) KVASIR_RETURN_IF_ERROR(write_model(files, folder, root, *out));
  KVASIR_RETURN_IF_ERROR(out->finish());
  return out->records();
}

Result<std::uint64_t> import_disk_folder(FileSystem& files, const std::string& folder,
                                         const std::string& path) {
  FolderSink sink(files, folder);
  KVASIR_RETURN_IF_ERROR(read_record_file(files, path, sink));
  KVASIR_RETURN_IF_ERROR(sink.end_model());
  return sink.records();
}

}  // namespace kvasir::kv
