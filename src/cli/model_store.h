#pragma once
// The models on this machine: in the models folder (KVASIR_MODELS, else ~/.cache/kvasir/models) and in the
// hub's own cache (hub/hub_cache.h). `kvasir list` shows them, `-m` takes their names, `kvasir rm` removes
// them.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "hub/hub_cache.h"

namespace kvasir::cli {

struct InstalledModel {
  std::string name;    // what -m takes
  std::string alias;   // a short name that it has as well; may be empty
  std::string path;    // of the file or folder
  std::string format;  // "GGUF", "safetensors", "MLX"
  std::uint64_t bytes = 0;
  std::filesystem::file_time_type written = std::filesystem::file_time_type::min();
  std::vector<std::string> files;         // that are the model's own; of a snapshot, relative to it
  std::optional<hub::Snapshot> snapshot;  // where it lies in the hub's cache
};

std::string models_folder();

// Every model of both places, by name.
std::vector<InstalledModel> installed_models();
// By its name, its alias, or the path of its file or folder.
std::optional<InstalledModel> find_installed(const std::string& name);

// Removes its files and what only held them. Of a model in the models folder, nothing else is touched.
Status remove_installed(const InstalledModel& model);
std::uint64_t bytes_freed_by_removing(const InstalledModel& model);

// "491.4 MB"
std::string size_text(std::uint64_t bytes);

}  // namespace kvasir::cli
