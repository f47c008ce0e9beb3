#pragma once
// `kvasir cache ...` on a store that is serving: the same records, files and reports, but of one model, seen
// and changed while the tier goes on reading and writing. `whose` bounds everything to some namespaces.
//
// Threads: any but the engine's. They take as long as the disk does; `goes_on` is asked in between, with how
// much is done (0..1), and false ends the work with kCancelled: what was done stays. A store that only reads
// refuses prune and import with kUnavailable.

#include <cstdint>
#include <functional>
#include <string>

#include "base/error.h"
#include "kv/disk_tier.h"

namespace kvasir::kv {

using GoesOn = std::function<bool(double)>;

// Reads every record and checks it. What is damaged is dropped from the store, so that it is not found again.
Result<DiskFolderReport> verify_disk(DiskTier& tier, const NameSpaceFilter& whose, const GoesOn& goes_on);
// Evicts, the least valuable first, until the records take at most `keep_bytes`; returns the bytes given
// back.
Result<std::uint64_t> prune_disk(DiskTier& tier, const NameSpaceFilter& whose, std::uint64_t keep_bytes,
                                 const GoesOn& goes_on);
// Both return the number of records. An import takes what belongs to this model and to `whose`, within the
// budget, and counts what it leaves out in `others`.
Result<std::uint64_t> export_disk(DiskTier& tier, const NameSpaceFilter& whose, const std::string& path,
                                  const GoesOn& goes_on);
struct Imported {
  std::uint64_t records = 0;  // new ones
  std::uint64_t others = 0;   // records of other namespaces, and models that are not served
};
Result<Imported> import_disk(DiskTier& tier, const NameSpaceFilter& whose, const std::string& path,
                             const GoesOn& goes_on);

}  // namespace kvasir::kv
