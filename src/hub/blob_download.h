#pragma once
// One file of the hub, into the cache's blobs. Private to this layer.

#include <cstdint>
#include <functional>
#include <string>

#include "base/error.h"
#include "hub/hub_api.h"

namespace kvasir::hub {

// Called with the bytes that are there, and whether they came over the line just now.
using BlobProgress = std::function<void(std::uint64_t have, std::uint64_t got)>;

// Makes `blobs`/ETAG. Goes on where an earlier try has left ETAG.incomplete. The caller holds the blob's
// lock. Errors as pull().
Status download_blob(HubApi& api, const RemoteFile& file, const std::string& blobs,
                     const BlobProgress& progress);

}  // namespace kvasir::hub
