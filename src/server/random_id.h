#pragma once
// Names that nobody else has.

#include <string>

namespace kvasir::server {

// 24 letters and digits.
std::string random_id();

}  // namespace kvasir::server
