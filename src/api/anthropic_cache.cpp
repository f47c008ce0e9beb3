#include "api/anthropic_cache.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace kvasir::api {
namespace {

// The I of "messages[I]"; nullopt for other parts.
std::optional<std::size_t> message_of(const chat::PromptPart& part) {
  constexpr std::string_view kHead = "messages[";
  if (!part.name.starts_with(kHead)) return std::nullopt;
  std::size_t index = 0;
  const char* begin = part.name.data() + kHead.size();
  const auto [end, failed] = std::from_chars(begin, part.name.data() + part.name.size(), index);
  return failed == std::errc() && end != begin ? std::optional(index) : std::nullopt;
}

// Where the first message behind the breakpoint begins.
std::uint32_t end_of(const CacheBreakpoint& breakpoint, std::span<const chat::PromptPart> parts,
                     std::uint32_t most) {
  std::uint32_t end = most;
  for (const chat::PromptPart& part : parts) {
    const auto message = message_of(part);
    if (!message || (breakpoint.message && *message <= *breakpoint.message)) continue;
    end = std::min(end, part.first_token);
  }
  return end;
}

}  // namespace

void note_breakpoint(const Fields& block, std::optional<std::size_t> message,
                     std::vector<CacheBreakpoint>& breakpoints) {
  const std::optional<Fields> control = block.fields("cache_control");
  if (!control) return;
  const std::string ttl = control->string("ttl").value_or("5m");
  if (ttl != "5m" && ttl != "1h")
    field_error(control->path_of("ttl"), "\"" + ttl + "\" is not one of 5m, 1h");
  breakpoints.push_back({message, ttl == "1h"});
}

bool needs_parts(std::span<const CacheBreakpoint> breakpoints, std::size_t last_message) {
  if (breakpoints.empty()) return false;
  const bool one_lifetime = std::ranges::all_of(
      breakpoints, [&](const CacheBreakpoint& b) { return b.one_hour == breakpoints.front().one_hour; });
  const bool to_the_end = std::ranges::any_of(
      breakpoints, [&](const CacheBreakpoint& b) { return b.message && *b.message >= last_message; });
  return !one_lifetime || !to_the_end;
}

std::vector<CacheMark> cache_marks(std::span<const CacheBreakpoint> breakpoints, std::size_t last_message,
                                   std::span<const chat::PromptPart> parts, std::uint32_t prompt_tokens) {
  const std::uint32_t most = prompt_tokens > 0 ? prompt_tokens - 1 : 0;
  std::vector<CacheMark> marks;
  for (const CacheBreakpoint& breakpoint : breakpoints) {
    const bool last = breakpoint.message && *breakpoint.message >= last_message;
    marks.push_back({last ? most : end_of(breakpoint, parts, most), breakpoint.one_hour});
  }
  std::ranges::sort(marks, {},
                    [](const CacheMark& mark) { return std::pair(mark.end_token, !mark.one_hour); });
  return marks;
}

InputTokens split_prompt(std::span<const CacheMark> marks, std::uint32_t prompt_tokens,
                         std::uint32_t cached_tokens) {
  InputTokens split;
  split.read = cached_tokens;
  std::uint32_t from = cached_tokens;
  for (const CacheMark& mark : marks) {
    // Before the prompt has been looked up it counts as empty.
    const std::uint32_t end = std::min(mark.end_token, prompt_tokens);
    if (end <= from) continue;
    (mark.one_hour ? split.created_1h : split.created_5m) += end - from;
    from = end;
  }
  split.input = prompt_tokens - std::min(prompt_tokens, from);
  return split;
}

}  // namespace kvasir::api
