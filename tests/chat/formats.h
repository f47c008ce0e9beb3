#pragma once
// Tools and options for tests that go over every tool format.

#include <string>

#include "chat/output_parser.h"

namespace kvasir::chat {

inline std::vector<Tool> test_tools() {
  namespace json = boost::json;
  return {
      {"get_weather", "Weather of a city",
       json::parse(
           R"({"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer"},)"
           R"("metric":{"type":"boolean"},"note":{"anyOf":[{"type":"string"},{"type":"null"}]},)"
           R"("tags":{"type":"array","items":{"type":"string"}},)"
           R"("place":{"$ref":"#/$defs/place"},"any":{"type":["string","integer"]}},)"
           R"("required":["city"],"additionalProperties":false,)"
           R"("$defs":{"place":{"type":"object","properties":{"lat":{"type":"number","minimum":-90,"maximum":90},)"
           R"("name":{"type":"string"}},"required":["lat"],"additionalProperties":false}}})")},
      {"bash", "Runs a command",
       json::parse(R"({"type":"object","properties":{"command":{"type":"string"}},"required":["command"],)"
                   R"("additionalProperties":false})")}};
}

inline OutputParserOptions options_for(const ToolFormat& format) {
  OutputParserOptions options;
  options.format = format;
  options.reasoning = format.name == "harmony" ? find_reasoning_format("<|channel|>analysis<|message|>")
                                               : find_reasoning_format("</think>");
  options.tools = test_tools();
  return options;
}

}  // namespace kvasir::chat
