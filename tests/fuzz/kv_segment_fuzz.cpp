// libFuzzer: any bytes at all as a segment, through the scan, the index and every read. Checksums are made to
// hold first where a page claims to be a header, so that what they protect is reached.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "kv/disk_store.h"
#include "kv/segment_format.h"
#include "kv/segment_scan.h"
#include "support/fake_file_system.h"

using namespace kvasir;
using namespace kvasir::kv;

namespace {

void seal_headers(std::vector<std::byte>& bytes) {
  for (std::size_t at = 0; at + kPageBytes <= bytes.size(); at += kPageBytes) {
    if (std::memcmp(bytes.data() + at, "KVASIR", 6) != 0) continue;
    const Hash128 sum = checksum(std::span(bytes).subspan(at, kPageBytes - sizeof(Hash128)));
    std::memcpy(bytes.data() + at + kPageBytes - sizeof(Hash128), &sum, sizeof(sum));
  }
}

void read_all(DiskStore& store, const SegmentScan& scan) {
  for (const RecordHeader& record : scan.records) {
    const DiskMatch match = store.match(record.name_space, record.tokens, 0);
    for (const DiskRead& read : match.reads) {
      std::vector<std::byte> out(store.payload_bytes(read.record));
      if (!out.empty()) (void)store.read(read.record, out).ok();
    }
    (void)store.stored(record.name_space, record.parent, record.tokens);
  }
  store.check_invariants();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto input = std::as_bytes(std::span(data, size));
  std::vector<std::byte> bytes(input.begin(), input.end());
  seal_headers(bytes);
  FakeFileSystem files;
  (void)files.make_folder("/kv").ok();
  files.set_content("/kv/seg-00000001.kvs", std::move(bytes));
  const auto file = files.open("/kv/seg-00000001.kvs", OpenMode::kRead);
  const SegmentScan scan = scan_segment(**file, 1);
  DiskStoreOptions options;
  options.folder = "/kv";
  options.root_name = scan.header.root_name;
  options.block_bytes = scan.header.block_bytes == 0 ? 512 : scan.header.block_bytes;
  options.capacity_bytes = 1 << 20;
  for (const bool read_only : {true, false}) {
    options.read_only = read_only;
    const auto store = DiskStore::open(files, options);
    if (!store.ok()) std::abort();  // no file is a reason to fail
    read_all(**store, scan);
  }
  (void)inspect_disk_folder(files, "/kv", true, {}).ok();
  return 0;
}
