#include "kv/disk_admin.h"

#include <utility>
#include <vector>

#include "kv/record_file.h"

namespace kvasir::kv {
namespace {

Error cancelled() {
  return make_error(ErrorCode::kCancelled, "ended before it was done");
}

double share(std::size_t done, std::size_t all) {
  return all == 0 ? 1.0 : static_cast<double>(done) / static_cast<double>(all);
}

Status check_writes(const DiskTier& tier) {
  const DiskStats stats = tier.stats();
  if (stats.writes_stopped) {
    return make_error(ErrorCode::kUnavailable, "the cache on disk is no longer written: a write has failed");
  }
  if (!stats.read_only) return {};
  return make_error(ErrorCode::kUnavailable,
                    "another process writes the cache on disk; this one only reads it");
}

class StoreSink final : public RecordSink {
 public:
  StoreSink(DiskTier& tier, const NameSpaceFilter& whose, const GoesOn& goes_on)
      : tier_(tier), whose_(whose), goes_on_(goes_on) {}

  Result<bool> begin_model(const SegmentHeader& header) override {
    const DiskStoreOptions& ours = tier_.store().options();
    const bool wanted = header.root_name == ours.root_name && header.block_bytes == ours.block_bytes;
    imported_.others += wanted ? 0 : 1;
    return wanted;
  }

  Status take(const RecordHeader& header, std::span<const std::byte> payload, double done) override {
    if (goes_on_ && !goes_on_(done)) return cancelled();
    if (!admits(whose_, header.name_space)) {
      ++imported_.others;
      return {};
    }
    return tier_.maintain([&](DiskStore& store) -> Status {
      const std::uint64_t before = store.stats().appended_records;
      KVASIR_RETURN_IF_ERROR(
          store.append(header.name_space, header.parent, header.tokens, header.first, payload));
      imported_.records += store.stats().appended_records - before;
      return {};
    });
  }

  const Imported& imported() const { return imported_; }

 private:
  DiskTier& tier_;
  const NameSpaceFilter& whose_;
  const GoesOn& goes_on_;
  Imported imported_;
};

}  // namespace

Result<DiskFolderReport> verify_disk(DiskTier& tier, const NameSpaceFilter& whose, const GoesOn& goes_on) {
  DiskStore& store = tier.store();
  const std::vector<RecordId> records = store.records(whose);
  const std::uint64_t orphans_before = store.stats().skipped_orphans;
  DiskFolderReport report;
  std::vector<std::byte> payload;
  for (std::size_t i = 0; i < records.size(); ++i) {
    if (goes_on && !goes_on(share(i, records.size()))) return cancelled();
    payload.resize(store.payload_bytes(records[i]));
    if (payload.empty()) continue;  // it went meanwhile
    const Status read = store.read(records[i], payload);
    if (read.ok()) {
      ++report.records;
    } else if (read.error().code != ErrorCode::kNotFound) {
      ++report.bad_records;
      report.problems.push_back(read.error().message);
    }
  }
  report.orphans = store.stats().skipped_orphans - orphans_before;
  report.bytes = store.use(whose).bytes;
  return report;
}

Result<std::uint64_t> prune_disk(DiskTier& tier, const NameSpaceFilter& whose, std::uint64_t keep_bytes,
                                 const GoesOn& goes_on) {
  KVASIR_RETURN_IF_ERROR(check_writes(tier));
  std::uint64_t given_back = 0;
  for (std::uint64_t more = 1; more > 0; given_back += more) {
    if (goes_on && !goes_on(0)) return cancelled();
    KVASIR_RETURN_IF_ERROR(tier.maintain([&](DiskStore& store) -> Status {
      more = store.prune_some(whose, keep_bytes);
      return {};
    }));
  }
  return given_back;
}

Result<std::uint64_t> export_disk(DiskTier& tier, const NameSpaceFilter& whose, const std::string& path,
                                  const GoesOn& goes_on) {
  DiskStore& store = tier.store();
  const DiskStoreOptions& options = store.options();
  KVASIR_ASSIGN_OR_RETURN(const auto out, RecordFileWriter::create(store.files(), path));
  KVASIR_RETURN_IF_ERROR(out->begin_model(options.root_name, options.label, options.block_bytes));
  const std::vector<RecordId> records = store.records(whose);
  std::vector<std::byte> payload;
  for (std::size_t i = 0; i < records.size(); ++i) {
    if (goes_on && !goes_on(share(i, records.size()))) return cancelled();
    auto header = store.header(records[i]);
    if (!header) continue;  // it went meanwhile, as may what continues it
    payload.resize(header->payload_bytes);
    if (!store.read(records[i], payload).ok()) continue;
    KVASIR_RETURN_IF_ERROR(out->add(std::move(*header), payload));
  }
  KVASIR_RETURN_IF_ERROR(out->finish());
  return out->records();
}

Result<Imported> import_disk(DiskTier& tier, const NameSpaceFilter& whose, const std::string& path,
                             const GoesOn& goes_on) {
  KVASIR_RETURN_IF_ERROR(check_writes(tier));
  StoreSink sink(tier, whose, goes_on);
  KVASIR_RETURN_IF_ERROR(read_record_file(tier.store().files(), path, sink));
  return sink.imported();
}

}  // namespace kvasir::kv
