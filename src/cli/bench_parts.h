#pragma once
// A profile of the forward pass: its parts' shares of the time, and what each does as a share of the limit
// that it runs into.

#include <string>

#include "cli/limits.h"
#include "models/part_times.h"

namespace kvasir::cli {

// Of one kind of pass, over all rounds.
struct PartsProfile {
  models::PartTimes times;
  double memory_bytes_per_s = 0;  // what reading memory gave meanwhile
};

// Lines of text, indented, one a part.
std::string parts_text(const PartsProfile& profile, const ComputeLimits& limits);
// A JSON object: parts' names to {"share", "operations_per_s", "bytes_per_s"}.
std::string parts_json(const PartsProfile& profile);

}  // namespace kvasir::cli
