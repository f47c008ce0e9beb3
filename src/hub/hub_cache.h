#pragma once
// The folder in which huggingface_hub, and so everything built on it, keeps what it has downloaded:
//
//   models--ORG--REPO/blobs/ETAG              the files' contents
//   models--ORG--REPO/refs/main               the commit that a branch or tag was last seen at
//   models--ORG--REPO/snapshots/COMMIT/PATH   relative links to blobs, under the files' own names
//   .locks/models--ORG--REPO/ETAG.lock        held (flock) while a blob is written
//
// What is here was perhaps written by others: nothing is believed but names and links.
// Threads: functions only, over the file system; safe from any thread.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "hub/model_name.h"

namespace kvasir::hub {

// HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, HF_HOME/hub, XDG_CACHE_HOME/huggingface/hub, else
// ~/.cache/huggingface/hub.
std::string default_hub_cache();

// "models--ORG--REPO"
std::string repo_folder_name(std::string_view repo);

struct Snapshot {
  std::string repo;                // "ORG/REPO"
  std::string repo_folder;         // path of models--ORG--REPO
  std::string commit;              // its folder's name
  std::vector<std::string> refs;   // that point to it: "main", ...
  std::vector<std::string> files;  // paths inside, whose contents are there; sorted

  std::string folder() const { return repo_folder + "/snapshots/" + commit; }
  // What `-m` calls its revision: a ref (main, where it is one), else the commit.
  std::string revision() const;
};

// Every snapshot of every model in `cache`, by repository. Empty where there is no such folder.
std::vector<Snapshot> list_snapshots(const std::string& cache);
// The snapshot of a revision: a ref, a commit, or its first letters (7 or more). kNotFound says what to do.
Result<Snapshot> find_snapshot(const std::string& cache, const ModelName& name);

// The path that `name` means: of a GGUF file (the first of a set), or of the snapshot's folder, where it
// holds safetensors. kNotFound, with what to do, where it has not been pulled.
Result<std::string> find_pulled(const std::string& cache, const ModelName& name);

// What removing would free, and removing. A blob goes with the last link to it; a snapshot, its refs and the
// repository's folder go with what they held.
std::uint64_t removable_bytes(const Snapshot& snapshot, const std::vector<std::string>& files);
Status remove_files(const Snapshot& snapshot, const std::vector<std::string>& files);

}  // namespace kvasir::hub
