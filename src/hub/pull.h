#pragma once
// Gets a model of the hub into the hub's own cache, so that Python finds it there and we find what Python
// got.
//
// A file is written as blobs/ETAG.incomplete, goes on where it broke off, is checked against its hash, and
// only then gets its name; a revision gets its ref when all asked-for files are there. Two pulls of the same
// file wait for each other (.locks, which huggingface_hub takes as well).

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/error.h"
#include "hub/hub_api.h"

namespace kvasir::hub {

struct PullProgress {
  std::string file;        // that is being got
  std::uint64_t done = 0;  // bytes of all that is to be got
  std::uint64_t total = 0;
  std::uint64_t got = 0;  // of `done`, over the line in this pull
};

struct PullCalls {
  Notice notice;
  std::function<void(const PullProgress&)> progress;
};

struct Pulled {
  std::string path;  // of the GGUF file, or of the folder
  std::string commit;
  std::uint64_t bytes = 0;  // got over the line
};

// Which files of a repository make the model that `wanted` names (hub/model_name.h): a GGUF set, else all
// that a folder of safetensors needs. kNotFound and kInvalidArgument say what there is.
Result<std::vector<std::string>> files_of_model(const std::vector<std::string>& files,
                                                const ModelName& wanted);

// Errors as HubApi; kResourceExhausted where the disk is too small, kCorruptData where the hub's bytes are
// not what it says, kIo.
Result<Pulled> pull(HubApi& api, const ModelName& name, const PullCalls& calls);

}  // namespace kvasir::hub
