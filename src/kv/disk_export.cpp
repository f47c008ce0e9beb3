// A folder's records in one file, and back. The file is laid out like a segment, with a segment header where
// another model begins; parents come before what continues them.

#include <limits>

#include "kv/disk_folder.h"

namespace kvasir::kv {
namespace {

class Exporter {
 public:
  Exporter(FileSystem& files, const std::string& folder, File& out)
      : files_(files), folder_(folder), out_(out) {}

  Status write_root(FolderRoot& root) {
    SegmentHeader header;
    header.id = ++group_;
    header.block_bytes = root.block_bytes;
    header.root_name = root.name;
    header.label = root.label;
    Page page;
    encode_segment_header(header, page);
    KVASIR_RETURN_IF_ERROR(out_.write_at(at_, page));
    at_ += kPageBytes;
    for (const RecordId id : root.index->in_tree_order()) {
      const auto place = root.index->place(id);
      if (!place) continue;  // continues a damaged one
      const auto payload = read_payload(files_, folder_, *place);
      if (!payload.ok()) {
        (void)root.index->remove(id);
        continue;
      }
      KVASIR_RETURN_IF_ERROR(write_record(root.index->header(id), *payload));
    }
    return {};
  }

  std::uint64_t records() const { return records_; }

 private:
  Status write_record(RecordHeader header, std::span<const std::byte> payload) {
    header.segment = group_;
    header.offset = at_;
    Page page;
    encode_record_header(header, page);
    KVASIR_RETURN_IF_ERROR(out_.write_at(at_, page));
    KVASIR_RETURN_IF_ERROR(out_.write_at(at_ + kPageBytes, payload));
    at_ += record_extent(payload.size());
    ++records_;
    return {};
  }

  FileSystem& files_;
  const std::string& folder_;
  File& out_;
  std::uint32_t group_ = 0;
  std::uint64_t at_ = 0;
  std::uint64_t records_ = 0;
};

class Importer {
 public:
  Importer(FileSystem& files, const std::string& folder, const File& in)
      : files_(files), folder_(folder), in_(in) {}

  Result<std::uint64_t> run() {
    KVASIR_ASSIGN_OR_RETURN(size_, in_.size());
    bool any = false;
    for (std::uint64_t at = 0; at + kPageBytes <= size_;) {
      Page page;
      KVASIR_ASSIGN_OR_RETURN(const auto got, in_.read_at(at, page));
      if (got != page.size()) break;
      SegmentHeader header;
      if (decode_segment_header(page, header) == PageKind::kSound) {
        any = true;
        KVASIR_RETURN_IF_ERROR(begin_root(header));
      } else if (const auto record = decode_record_header(page, group_, at); record && store_ != nullptr) {
        KVASIR_ASSIGN_OR_RETURN(at, take(*record, at));
        continue;
      }
      at += kPageBytes;
    }
    KVASIR_RETURN_IF_ERROR(end_root());
    if (!any) return make_error(ErrorCode::kCorruptData, "this is no export of a KV cache");
    return records_;
  }

 private:
  Status begin_root(const SegmentHeader& header) {
    KVASIR_RETURN_IF_ERROR(end_root());
    DiskStoreOptions options;
    options.folder = folder_;
    options.root_name = header.root_name;
    options.label = header.label;
    options.block_bytes = header.block_bytes;
    // The next server keeps its own budget.
    options.capacity_bytes = std::numeric_limits<std::uint64_t>::max() / 2;
    KVASIR_ASSIGN_OR_RETURN(store_, DiskStore::open(files_, std::move(options)));
    group_ = header.id;
    if (!store_->stats().read_only) return {};
    return make_error(ErrorCode::kUnavailable, store_->warning(), folder_);
  }

  Status end_root() {
    if (store_ == nullptr) return {};
    KVASIR_RETURN_IF_ERROR(store_->sync());
    records_ += store_->stats().appended_records;
    store_.reset();
    return {};
  }

  // Appends a record where its payload is sound; returns where to go on.
  Result<std::uint64_t> take(const RecordHeader& record, std::uint64_t at) {
    if (at + kPageBytes + record.payload_bytes > size_) return at + kPageBytes;
    std::vector<std::byte> payload(record.payload_bytes);
    KVASIR_ASSIGN_OR_RETURN(const auto got, in_.read_at(at + kPageBytes, payload));
    if (got != payload.size() || checksum(payload) != record.payload_hash) return at + kPageBytes;
    KVASIR_RETURN_IF_ERROR(
        store_->append(record.name_space, record.parent, record.tokens, record.first, payload));
    return at + record_extent(record.payload_bytes);
  }

  FileSystem& files_;
  const std::string& folder_;
  const File& in_;
  std::uint64_t size_ = 0;
  std::unique_ptr<DiskStore> store_;
  std::uint32_t group_ = 0;
  std::uint64_t records_ = 0;
};

}  // namespace

Result<std::uint64_t> export_disk_folder(FileSystem& files, const std::string& folder,
                                         const std::string& path) {
  KVASIR_ASSIGN_OR_RETURN(LoadedFolder loaded, load_folder(files, folder));
  KVASIR_ASSIGN_OR_RETURN(const auto out, files.open(path, OpenMode::kCreateNew));
  Exporter exporter(files, folder, *out);
  Status status;
  for (auto root = loaded.roots.begin(); status.ok() && root != loaded.roots.end(); ++root) {
    status = exporter.write_root(*root);
  }
  if (status.ok()) status = out->sync();
  if (status.ok()) return exporter.records();
  (void)files.remove(path).ok();  // half an export is none
  return status.error();
}

Result<std::uint64_t> import_disk_folder(FileSystem& files, const std::string& folder,
                                         const std::string& path) {
  KVASIR_ASSIGN_OR_RETURN(const auto in, files.open(path, OpenMode::kRead));
  auto records = Importer(files, folder, *in).run();
  if (records.ok()) return records;
  Error error = records.error();
  if (error.subject.empty()) error.subject = path;
  return error;
}

}  // namespace kvasir::kv
