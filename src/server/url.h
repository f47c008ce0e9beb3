#pragma once
// Parts of a request's URL.

#include <optional>
#include <string>
#include <string_view>

namespace kvasir::server {

// Text as it was before percent-encoding; clients encode the slashes of model names.
std::string percent_decoded(std::string_view text);

// The first value of `key` in a query ("a=1&b=2"), decoded; nullopt where it is not there.
std::optional<std::string> query_value(std::string_view query, std::string_view key);

}  // namespace kvasir::server
