#pragma once
// Runs generated text through an OutputParser, cut as a test likes, and writes the events down.

#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "chat/output_parser.h"

namespace kvasir::chat {

// Events as one line each, adjacent deltas joined: what must not depend on how the text was cut.
inline std::vector<std::string> lines_of(const std::vector<OutputEvent>& events) {
  std::vector<std::string> lines;
  std::string kind;
  const auto add = [&](const std::string& next, const std::string& text) {
    if (next == kind && !lines.empty()) {
      lines.back() += text;
    } else {
      lines.push_back(next + text);
    }
    kind = next;
  };
  for (const OutputEvent& event : events) {
    if (const auto* text = std::get_if<TextDelta>(&event)) add("text:", text->text);
    if (const auto* thought = std::get_if<ReasoningDelta>(&event)) add("thought:", thought->text);
    if (const auto* begin = std::get_if<ToolCallBegin>(&event)) {
      add("begin" + std::to_string(begin->index) + ":", begin->name);
    }
    if (const auto* part = std::get_if<ToolCallArguments>(&event)) {
      add("args" + std::to_string(part->index) + ":", part->fragment);
    }
    if (const auto* end = std::get_if<ToolCallEnd>(&event)) add("end" + std::to_string(end->index), "");
  }
  return lines;
}

inline std::vector<std::string> parse(OutputParserOptions options, const std::vector<std::string>& pieces) {
  OutputParser parser(std::move(options));
  std::vector<OutputEvent> events;
  for (const std::string& piece : pieces) parser.feed(piece, events);
  parser.finish(events);
  return lines_of(events);
}

inline std::vector<std::string> random_pieces(const std::string& text, std::mt19937& random) {
  std::vector<std::string> pieces;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t size = 1 + random() % 9;
    pieces.push_back(text.substr(at, size));
    at += size;
  }
  return pieces;
}

}  // namespace kvasir::chat
