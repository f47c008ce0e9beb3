#include "kv/segment_scan.h"

#include <algorithm>

namespace kvasir::kv {
namespace {

constexpr std::size_t kMostProblems = 100;  // a person reads no more, and memory is bounded

class Scanner {
 public:
  Scanner(const File& file, std::uint32_t id) : file_(file), id_(id) {}

  SegmentScan run() {
    const auto size = file_.size();
    if (!size.ok()) return failed(size.error());
    size_ = *size;
    scan_.end = round_to_pages(size_);
    if (!read_page(0)) return std::move(scan_);
    scan_.kind = decode_segment_header(page_, scan_.header);
    if (scan_.kind == PageKind::kSound && scan_.header.id != id_) scan_.kind = PageKind::kUnsound;
    if (scan_.kind != PageKind::kSound) {
      problem(0, scan_.kind == PageKind::kForeign ? "another format version or byte order"
                                                  : "no sound segment header");
      return std::move(scan_);
    }
    std::uint64_t offset = kPageBytes;
    while (offset < size_ && read_page(offset)) offset = step(offset);
    return std::move(scan_);
  }

 private:
  // Looks at the page at `offset`, which has been read; returns where to go on.
  std::uint64_t step(std::uint64_t offset) {
    auto record = decode_record_header(page_, id_, offset);
    if (record && offset + kPageBytes + record->payload_bytes <= size_) {
      const std::uint64_t next = offset + record_extent(record->payload_bytes);
      scan_.records.push_back(std::move(*record));
      return next;
    }
    if (record) return dead(offset, "a record's payload runs past the end of the file");
    if (std::ranges::any_of(page_, [](std::byte byte) { return byte != std::byte{0}; })) {
      return dead(offset, "no sound record");
    }
    // A page of zeros is a hole that was punched, or one where writing stopped.
    const auto data = file_.next_data(offset);
    if (!data.ok() || *data == std::optional(offset)) return dead(offset, nullptr);
    if (!data->has_value()) return size_;
    return std::max(offset + kPageBytes, **data / kPageBytes * kPageBytes);
  }

  // `what` is null for zeros, which say nothing of a fault.
  std::uint64_t dead(std::uint64_t offset, const char* what) {
    const bool goes_on = !scan_.dead.empty() && scan_.dead.back().offset + scan_.dead.back().bytes == offset;
    if (goes_on) {
      scan_.dead.back().bytes += kPageBytes;
    } else {
      scan_.dead.push_back({offset, kPageBytes});
    }
    // The pages of one lost record are one fault.
    if (what != nullptr && !(goes_on && in_garbage_)) {
      ++scan_.torn;
      problem(offset, what);
    }
    in_garbage_ = what != nullptr;
    return offset + kPageBytes;
  }

  bool read_page(std::uint64_t offset) {
    const auto got = file_.read_at(offset, page_);
    if (!got.ok()) {
      scan_.read_failed = true;
      problem(offset, got.error().message);
      return false;
    }
    std::fill(page_.begin() + static_cast<std::ptrdiff_t>(*got), page_.end(), std::byte{0});
    return true;
  }

  SegmentScan failed(const Error& error) {
    scan_.read_failed = true;
    problem(0, error.message);
    return std::move(scan_);
  }

  void problem(std::uint64_t offset, const std::string& what) {
    if (scan_.problems.size() >= kMostProblems) return;
    scan_.problems.push_back(segment_name(id_) + " at " + std::to_string(offset) + ": " + what);
  }

  const File& file_;
  std::uint32_t id_;
  std::uint64_t size_ = 0;
  Page page_{};
  bool in_garbage_ = false;
  SegmentScan scan_;
};

}  // namespace

SegmentScan scan_segment(const File& file, std::uint32_t id) {
  return Scanner(file, id).run();
}

}  // namespace kvasir::kv
