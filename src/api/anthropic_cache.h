#pragma once
// cache_control: where a client wants the prompt's beginning kept, and how the usage tells what became of it.
//
// The cache keeps every prompt without being asked. So that a client's sums come out as with the hosted API,
// the tokens of a prompt are told in three parts that add up to it:
//   cache_read_input_tokens      were found in the cache;
//   cache_creation_input_tokens  the others up to the last breakpoint, by the lifetime of the first
//   breakpoint
//                                behind them;
//   input_tokens                 the rest: all that was not found where there is no breakpoint. The last
//   token
//                                of a prompt is always one of these: it is read in any case.
// A breakpoint counts to the end of its message; one in tools or system to where the first message begins.

#include <boost/json.hpp>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "api/fields.h"
#include "chat/prompt.h"

namespace kvasir::api {

struct CacheBreakpoint {
  std::optional<std::size_t> message;  // in the client's list; nullopt: in tools or system
  bool one_hour = false;               // else five minutes
};

// A breakpoint as a place in the prompt.
struct CacheMark {
  std::uint32_t end_token = 0;
  bool one_hour = false;
};

// The block's own cache_control, where it has one. Throws FieldError.
void note_breakpoint(const Fields& block, std::optional<std::size_t> message,
                     std::vector<CacheBreakpoint>& breakpoints);

// Whether cache_marks() needs the prompt's parts, which cost something to find. `last_message`: index of the
// last in the client's list.
bool needs_parts(std::span<const CacheBreakpoint> breakpoints, std::size_t last_message);
// In the order of the prompt.
std::vector<CacheMark> cache_marks(std::span<const CacheBreakpoint> breakpoints, std::size_t last_message,
                                   std::span<const chat::PromptPart> parts, std::uint32_t prompt_tokens);

struct InputTokens {
  std::uint32_t input = 0;
  std::uint32_t read = 0;
  std::uint32_t created_5m = 0;
  std::uint32_t created_1h = 0;
};
InputTokens split_prompt(std::span<const CacheMark> marks, std::uint32_t prompt_tokens,
                         std::uint32_t cached_tokens);

}  // namespace kvasir::api
