// libFuzzer: any generated text, cut anywhere, through the output parser. Whatever the pieces, the text and
// the calls that come out are the same. The first byte says which tool format reads it.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "chat/output_parser.h"

namespace {

using namespace kvasir::chat;  // NOLINT: a fuzzer is one file

std::string events_of(const ToolFormat& format, std::string_view text, std::size_t piece) {
  OutputParserOptions options;
  options.format = format;
  options.reasoning = {"<think>", "</think>"};
  const boost::json::object text_type{{"type", "string"}};
  const boost::json::object properties{
      {"a", text_type},
      {"b", boost::json::object{{"type", "integer"}}},
      {"c", boost::json::object{{"type", boost::json::array{"string", "null", "array"}}}}};
  options.tools = {{"f", {}, boost::json::object{{"properties", properties}}}, {"get_weather", {}, {}}};
  options.make_id = [] { return std::string("id"); };
  OutputParser parser(std::move(options));
  std::vector<OutputEvent> events;
  for (std::size_t at = 0; at < text.size(); at += piece) parser.feed(text.substr(at, piece), events);
  parser.finish(events);
  std::string all;
  for (const OutputEvent& event : events) {
    // Adjacent deltas of a kind join, as a client joins them.
    const auto mark = [&](char kind) {
      if (all.empty() || all.find_last_of("\x01\x02\x03\x04\x05") == std::string::npos ||
          all[all.find_last_of("\x01\x02\x03\x04\x05")] != kind) {
        all += kind;
      }
    };
    if (const auto* e = std::get_if<TextDelta>(&event))
      mark('\x01'), all += e->text;
    else if (const auto* r = std::get_if<ReasoningDelta>(&event))
      mark('\x02'), all += r->text;
    else if (const auto* b = std::get_if<ToolCallBegin>(&event))
      all += '\x03', all += b->name;
    else if (const auto* a = std::get_if<ToolCallArguments>(&event))
      mark('\x04'), all += a->fragment;
    else
      all += '\x05';
  }
  return all;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string text(reinterpret_cast<const char*>(data), size);
  for (char& c : text) {
    if (static_cast<unsigned char>(c) >= 0x80 || (c > 0 && c < 6))
      c = '.';  // the engine gives whole characters
  }
  const auto formats = known_tool_formats();
  const ToolFormat& format = formats[text.empty() ? 0 : static_cast<unsigned char>(text[0]) % formats.size()];
  if (!text.empty()) text.erase(0, 1);
  const std::string whole = events_of(format, text, text.size() + 1);
  if (events_of(format, text, 1) != whole || events_of(format, text, 7) != whole) std::abort();
  return 0;
}
