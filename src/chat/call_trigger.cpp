#include "chat/call_trigger.h"

#include <algorithm>

namespace kvasir::chat {
namespace {

// White space inside the head of a bare call, beyond its keys and name.
constexpr std::size_t kSpaceMax = 64;

void skip_space(std::string_view& text) {
  const std::size_t next = text.find_first_not_of(" \t\r\n");
  text.remove_prefix(next == std::string_view::npos ? text.size() : next);
}

bool take(std::string_view& text, char c) {
  skip_space(text);
  if (text.empty() || text.front() != c) return false;
  text.remove_prefix(1);
  return true;
}

// A string without escapes, quotes dropped. Names and keys with escapes are left to the parser.
std::optional<std::string_view> take_string(std::string_view& text) {
  if (!take(text, '"')) return std::nullopt;
  const std::size_t end = text.find_first_of("\"\\");
  if (end == std::string_view::npos || text[end] != '"') return std::nullopt;
  const std::string_view inside = text.substr(0, end);
  text.remove_prefix(end + 1);
  return inside;
}

}  // namespace

CallTrigger::CallTrigger(const ToolFormat& format, std::span<const Tool> tools)
    : openers_(call_openers(format)), watch_lines_(format.bare_call_opens_line) {
  if (const auto* style = format.as<JsonCallStyle>()) {
    name_key_ = style->name_key;
    arguments_keys_ = style->arguments_keys;
  }
  for (const std::string& opener : openers_) opener_bytes_max_ = std::max(opener_bytes_max_, opener.size());
  std::size_t longest = 0;
  for (const Tool& tool : tools) {
    names_.push_back(tool.name);
    longest = std::max(longest, tool.name.size());
  }
  std::size_t longest_key = 0;
  for (const std::string& key : arguments_keys_) longest_key = std::max(longest_key, key.size());
  line_bytes_max_ = longest + longest_key + name_key_.size() + kSpaceMax;
}

void CallTrigger::reset(bool at_line_start) {
  tail_.clear();
  line_.clear();
  line_may_open_ = at_line_start;  // the line that a call ended on opens nothing more
}

std::optional<CallTrigger::Hit> CallTrigger::feed(std::string_view bytes) {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    tail_.push_back(bytes[i]);
    if (tail_.size() > opener_bytes_max_) tail_.erase(0, 1);
    for (const std::string& opener : openers_) {
      if (tail_.ends_with(opener)) return Hit{std::nullopt, opener, std::string(bytes.substr(i + 1))};
    }
    if (!watch_lines_) continue;
    if (std::optional<Hit> hit = feed_line(bytes[i])) {
      hit->rest = std::string(bytes.substr(i + 1));
      return hit;
    }
  }
  return std::nullopt;
}

std::optional<CallTrigger::Hit> CallTrigger::feed_line(char c) {
  const bool inside = !line_.empty();
  if (c == '\n' && !inside) {
    line_may_open_ = true;
    return std::nullopt;
  }
  if (!inside) {
    const bool opens = line_may_open_ && c == '{';
    if (opens) line_.push_back(c);
    line_may_open_ = line_may_open_ && (c == ' ' || c == '\t' || c == '\r');
    return std::nullopt;
  }
  line_.push_back(c);
  if (c == ':') {
    if (const std::optional<std::size_t> tool = bare_tool()) return Hit{tool, {}, {}};
  }
  if (line_.size() > line_bytes_max_) {
    line_.clear();
    line_may_open_ = c == '\n';
  }
  return std::nullopt;
}

std::optional<std::size_t> CallTrigger::bare_tool() const {
  std::string_view text = line_;
  if (!take(text, '{')) return std::nullopt;
  const auto key = take_string(text);
  if (!key || *key != name_key_ || !take(text, ':')) return std::nullopt;
  const auto name = take_string(text);
  if (!name || !take(text, ',')) return std::nullopt;
  const auto arguments = take_string(text);
  if (!arguments || !take(text, ':') || !text.empty()) return std::nullopt;
  if (std::find(arguments_keys_.begin(), arguments_keys_.end(), *arguments) == arguments_keys_.end()) {
    return std::nullopt;
  }
  const auto tool = std::find(names_.begin(), names_.end(), *name);
  if (tool == names_.end()) return std::nullopt;
  return static_cast<std::size_t>(tool - names_.begin());
}

}  // namespace kvasir::chat
