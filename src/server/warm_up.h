#pragma once
// Reads prompts before anybody asks: `kvasir serve --warm FILE`.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "server/model_slot.h"

namespace kvasir::server {

struct WarmUp {
  std::size_t prompts = 0;
  std::uint64_t tokens = 0;
  std::uint64_t computed_tokens = 0;  // the others were in the cache already
};

// `lines`: one JSON object a line, each the body of an OpenAI chat or completions request, or of an Anthropic
// messages request with a "system" of its own; empty lines and lines that begin with # are left out. Every
// prompt is read through the engine like a request, one after the other, under `name_space`. Waits;
// `progress` gets 0..1. kInvalidArgument names the line that cannot be read; nothing is read then.
Result<WarmUp> warm_up(const LoadedModel& model, std::string_view lines, const std::string& name_space,
                       const std::function<bool(double)>& progress);

}  // namespace kvasir::server
