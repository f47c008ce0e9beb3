#include "kv/record_file.h"

#include <utility>
#include <vector>

namespace kvasir::kv {

Result<std::unique_ptr<RecordFileWriter>> RecordFileWriter::create(FileSystem& files, std::string path) {
  KVASIR_ASSIGN_OR_RETURN(auto file, files.open(path, OpenMode::kCreateNew));
  return std::unique_ptr<RecordFileWriter>(new RecordFileWriter(files, std::move(path), std::move(file)));
}

RecordFileWriter::RecordFileWriter(FileSystem& files, std::string path, std::unique_ptr<File> file)
    : files_(files), path_(std::move(path)), file_(std::move(file)) {}

RecordFileWriter::~RecordFileWriter() {
  if (!finished_) (void)files_.remove(path_).ok();
}

Status RecordFileWriter::begin_model(const std::string& root_name, const std::string& label,
                                     std::uint64_t block_bytes) {
  SegmentHeader header;
  header.id = ++model_;
  header.block_bytes = block_bytes;
  header.root_name = root_name;
  header.label = label.substr(0, kMostLabelBytes);
  Page page;
  encode_segment_header(header, page);
  KVASIR_RETURN_IF_ERROR(file_->write_at(at_, page));
  at_ += kPageBytes;
  return {};
}

Status RecordFileWriter::add(RecordHeader header, std::span<const std::byte> payload) {
  header.segment = model_;
  header.offset = at_;
  Page page;
  encode_record_header(header, page);
  KVASIR_RETURN_IF_ERROR(file_->write_at(at_, page));
  KVASIR_RETURN_IF_ERROR(file_->write_at(at_ + kPageBytes, payload));
  at_ += record_extent(payload.size());
  ++records_;
  return {};
}

Status RecordFileWriter::finish() {
  KVASIR_RETURN_IF_ERROR(file_->sync());
  finished_ = true;
  return {};
}

namespace {

class Reader {
 public:
  Reader(const File& file, std::uint64_t size, RecordSink& sink) : file_(file), size_(size), sink_(sink) {}

  Status run() {
    bool any = false;
    for (std::uint64_t at = 0; at + kPageBytes <= size_;) {
      Page page;
      KVASIR_ASSIGN_OR_RETURN(const auto got, file_.read_at(at, page));
      if (got != page.size()) break;
      SegmentHeader header;
      if (decode_segment_header(page, header) == PageKind::kSound) {
        any = true;
        model_ = header.id;
        KVASIR_ASSIGN_OR_RETURN(wanted_, sink_.begin_model(header));
      } else if (const auto record = decode_record_header(page, model_, at); record && wanted_) {
        KVASIR_ASSIGN_OR_RETURN(at, take(*record, at));
        continue;
      }
      at += kPageBytes;
    }
    if (!any) return make_error(ErrorCode::kCorruptData, "this is no export of a KV cache");
    return {};
  }

 private:
  // Hands a record on where its payload is sound; returns where to go on.
  Result<std::uint64_t> take(const RecordHeader& record, std::uint64_t at) {
    if (at + kPageBytes + record.payload_bytes > size_) return at + kPageBytes;
    std::vector<std::byte> payload(record.payload_bytes);
    KVASIR_ASSIGN_OR_RETURN(const auto got, file_.read_at(at + kPageBytes, payload));
    if (got != payload.size() || checksum(payload) != record.payload_hash) return at + kPageBytes;
    KVASIR_RETURN_IF_ERROR(sink_.take(record, payload, static_cast<double>(at) / static_cast<double>(size_)));
    return at + record_extent(record.payload_bytes);
  }

  const File& file_;
  const std::uint64_t size_;
  RecordSink& sink_;
  std::uint32_t model_ = 0;
  bool wanted_ = false;
};

}  // namespace

Status read_record_file(FileSystem& files, const std::string& path, RecordSink& sink) {
  KVASIR_ASSIGN_OR_RETURN(const auto file, files.open(path, OpenMode::kRead));
  KVASIR_ASSIGN_OR_RETURN(const auto size, file->size());
  Status status = Reader(*file, size, sink).run();
  if (status.ok() || !status.error().subject.empty()) return status;
  return make_error(status.error().code, status.error().message, path);
}

}  // namespace kvasir::kv
