#pragma once
// An export: the records of one or more models in one file, docs/formats/kv-segment.md. It is laid out like a
// segment, with a segment header where another model begins; parents come before what continues them.

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/error.h"
#include "base/file_system.h"
#include "kv/segment_format.h"

namespace kvasir::kv {

class RecordFileWriter {
 public:
  // Never over another file.
  static Result<std::unique_ptr<RecordFileWriter>> create(FileSystem& files, std::string path);
  // Removes the file unless it was finished: half an export is none.
  ~RecordFileWriter();
  RecordFileWriter(const RecordFileWriter&) = delete;
  RecordFileWriter& operator=(const RecordFileWriter&) = delete;

  // The records that follow are this model's.
  Status begin_model(const std::string& root_name, const std::string& label, std::uint64_t block_bytes);
  Status add(RecordHeader header, std::span<const std::byte> payload);
  Status finish();
  std::uint64_t records() const { return records_; }

 private:
  RecordFileWriter(FileSystem& files, std::string path, std::unique_ptr<File> file);

  FileSystem& files_;
  const std::string path_;
  std::unique_ptr<File> file_;
  bool finished_ = false;
  std::uint32_t model_ = 0;
  std::uint64_t at_ = 0;
  std::uint64_t records_ = 0;
};

// What a record file is read into.
class RecordSink {
 public:
  virtual ~RecordSink() = default;
  // False: the model's records are not wanted.
  virtual Result<bool> begin_model(const SegmentHeader& header) = 0;
  // Its payload is sound. `done`: how much of the file has been read, 0..1.
  virtual Status take(const RecordHeader& header, std::span<const std::byte> payload, double done) = 0;
};

// Reads the sound records, in order. kCorruptData: this is no export.
Status read_record_file(FileSystem& files, const std::string& path, RecordSink& sink);

}  // namespace kvasir::kv
