#include "chat/output_parser.h"

#include <gtest/gtest.h>

#include <random>

#include "event_lines.h"

namespace kvasir::chat {
namespace {

OutputParserOptions options_with(std::vector<std::string> tools) {
  OutputParserOptions options;
  options.format = hermes_format();
  options.reasoning = {"<think>", "</think>"};
  for (std::string& name : tools) options.tools.push_back({std::move(name), {}, {}});
  return options;
}

std::vector<std::string> parse(const std::string& text) {
  return parse(options_with({"get_weather", "bash"}), {text});
}

using Lines = std::vector<std::string>;

struct Case {
  std::string name;
  std::string text;
  Lines events;
};

const std::vector<Case>& cases() {
  static const std::vector<Case> table = {
      {"PlainText", "Hello, world.\n", {"text:Hello, world.\n"}},
      {"LeadingSpaceStays", "\n  Hello ", {"text:\n  Hello "}},
      {"OneCall",
       "<tool_call>\n{\"name\": \"bash\", \"arguments\": {\"command\": \"ls -l\"}}\n</tool_call>",
       {"begin0:bash", "args0:{\"command\": \"ls -l\"}", "end0"}},
      {"TextBeforeBetweenAfter",
       "First.\n<tool_call>\n{\"name\": \"bash\", \"arguments\": {}}\n</tool_call>\nThen.\n"
       "<tool_call>{\"name\":\"get_weather\",\"arguments\":{\"c\":[1,2,{\"d\":null}]}}</tool_call> Done.",
       {"text:First.", "begin0:bash", "args0:{}", "end0", "text:\nThen.", "begin1:get_weather",
        "args1:{\"c\":[1,2,{\"d\":null}]}", "end1", "text: Done."}},
      {"ParallelCalls",
       "<tool_call>\n{\"name\": \"bash\", \"arguments\": {\"a\": 1}}\n</tool_call>\n<tool_call>\n"
       "{\"name\": \"bash\", \"arguments\": {\"a\": 2}}\n</tool_call>\n",
       {"begin0:bash", "args0:{\"a\": 1}", "end0", "begin1:bash", "args1:{\"a\": 2}", "end1"}},
      {"NameAfterArguments",
       "<tool_call>{ \"arguments\" : {\"a\": \"}\\\"{\"} , \"name\" : \"bash\" }</tool_call>",
       {"begin0:bash", "args0:{\"a\": \"}\\\"{\"}", "end0"}},
      {"ParametersInsteadOfArguments",
       "<tool_call>{\"name\":\"bash\",\"parameters\":{\"a\":-1.5e+3}}</tool_call>",
       {"begin0:bash", "args0:{\"a\":-1.5e+3}", "end0"}},
      {"ArgumentsAsString",
       "<tool_call>{\"name\": \"bash\", \"arguments\": \"{\\\"a\\\": \\\"\\u00e9\\\"}\"}</tool_call>",
       {"begin0:bash", "args0:{\"a\": \"\xc3\xa9\"}", "end0"}},
      {"NoArguments", "<tool_call>{\"name\": \"bash\"}</tool_call>", {"begin0:bash", "args0:{}", "end0"}},
      {"NullArguments",
       "<tool_call>{\"name\": \"bash\", \"arguments\": null}</tool_call>",
       {"begin0:bash", "args0:{}", "end0"}},
      {"ExtraKeys",
       "<tool_call>{\"id\": 7, \"name\": \"bash\", \"arguments\": {\"a\": 1}, \"x\": [true]}</tool_call>",
       {"begin0:bash", "args0:{\"a\": 1}", "end0"}},
      {"UndeclaredDelimited",
       "<tool_call>{\"name\": \"rm\", \"arguments\": {}}</tool_call>",
       {"begin0:rm", "args0:{}", "end0"}},
      {"RawLineBreakIsEscaped",
       "<tool_call>{\"name\": \"bash\", \"arguments\": {\"a\": \"x\ny\tz\"}}</tool_call>",
       {"begin0:bash", "args0:{\"a\": \"x\\ny\\tz\"}", "end0"}},
      {"NotACall",
       "<tool_call>\nI am not JSON</tool_call> so there",
       {"text:<tool_call>\nI am not JSON</tool_call> so there"}},
      {"OpenerTwice",
       "<tool_call><tool_call>{\"name\": \"bash\", \"arguments\": {}}</tool_call>",
       {"text:<tool_call>", "begin0:bash", "args0:{}", "end0"}},
      {"AlmostOpeners",
       "a < b, <tool <tool_cal <<tool_calls> {",
       {"text:a < b, <tool <tool_cal <<tool_calls> {"}},
      {"BareCall",
       "{\"name\": \"bash\", \"arguments\": {\"a\": 1}}",
       {"begin0:bash", "args0:{\"a\": 1}", "end0"}},
      {"BareCallAfterText",
       "Sure:\n  {\"name\": \"bash\", \"arguments\": {\"a\": 1}}\nthat",
       {"text:Sure:", "begin0:bash", "args0:{\"a\": 1}", "end0", "text:\nthat"}},
      {"BareCallInsideLineIsText",
       "Say {\"name\": \"bash\", \"arguments\": {}}",
       {"text:Say {\"name\": \"bash\", \"arguments\": {}}"}},
      {"BareUndeclaredIsText",
       "{\"name\": \"alice\", \"arguments\": {}}",
       {"text:{\"name\": \"alice\", \"arguments\": {}}"}},
      {"BareWithoutArgumentsIsText", "{\"name\": \"bash\"}", {"text:{\"name\": \"bash\"}"}},
      {"BareToolDefinitionIsText",
       "{\"name\": \"bash\", \"description\": \"x\", \"parameters\": {}}",
       {"text:{\"name\": \"bash\", \"description\": \"x\", \"parameters\": {}}"}},
      {"FencedCall",
       "Here:\n```json\n{\n  \"name\": \"bash\",\n  \"arguments\": {\n    \"a\": 1\n  }\n}\n```\n",
       {"text:Here:", "begin0:bash", "args0:{\n    \"a\": 1\n  }", "end0"}},
      {"FencedCodeIsText",
       "```json\n{\"a\": 1}\n```\n```py\nx\n```",
       {"text:```json\n{\"a\": 1}\n```\n```py\nx\n```"}},
      {"PlainFenceCall",
       "```\n{\"name\": \"bash\", \"arguments\": {}}\n```",
       {"begin0:bash", "args0:{}", "end0"}},
      {"BareCallWithTag",
       "{\"name\": \"bash\", \"arguments\": {}}\n</tool_call>",
       {"begin0:bash", "args0:{}", "end0"}},
      {"Thought", "<think>\nhm <tool_call> hm\n</think>\n\nYes.", {"thought:hm <tool_call> hm", "text:Yes."}},
      {"ThoughtThenCall",
       "<think>\nhm\n</think>\n\n<tool_call>\n{\"name\": \"bash\", \"arguments\": {}}\n</tool_call>",
       {"thought:hm", "begin0:bash", "args0:{}", "end0"}},
      {"LateThinkTagIsText", "Use <think> here", {"text:Use <think> here"}},
      {"TruncatedHead", "<tool_call>\n{\"name\": \"ba", {"text:<tool_call>\n{\"name\": \"ba"}},
      {"TruncatedArguments",
       "<tool_call>\n{\"name\": \"bash\", \"arguments\": {\"a\": \"x",
       {"begin0:bash", "args0:{\"a\": \"x", "end0"}},
      {"TruncatedThought", "<think>\nhm ", {"thought:hm "}},
      {"TruncatedDelimiter", "a <tool_c", {"text:a <tool_c"}},
      {"BrokenArguments",
       "<tool_call>{\"name\": \"bash\", \"arguments\": {\"a\": 1,}}</tool_call>",
       {"begin0:bash", "args0:{\"a\": 1,", "end0", "text:}}</tool_call>"}},
      {"NestedOpenBraces", "{\n{\n{\n", {"text:{\n{\n{\n"}},
  };
  return table;
}

class OutputParserCases : public testing::TestWithParam<std::size_t> {};

TEST_P(OutputParserCases, GivesTheseEventsForEverySplit) {
  const Case& c = cases()[GetParam()];
  EXPECT_EQ(parse(c.text), c.events);
  Lines by_character;
  std::vector<std::string> pieces;
  for (const char byte : c.text) pieces.emplace_back(1, byte);
  EXPECT_EQ(parse(options_with({"get_weather", "bash"}), pieces), c.events) << "one character at a time";
  for (std::size_t cut = 0; cut <= c.text.size(); ++cut) {
    ASSERT_EQ(parse(options_with({"get_weather", "bash"}), {c.text.substr(0, cut), c.text.substr(cut)}),
              c.events)
        << "cut at " << cut;
  }
}

INSTANTIATE_TEST_SUITE_P(Table, OutputParserCases, testing::Range<std::size_t>(0, cases().size()),
                         [](const auto& instance) { return cases()[instance.param].name; });

// Texts made of the pieces that matter, cut at random.
TEST(OutputParser, RandomTextsGiveTheSameEventsForAnySplit) {
  const std::vector<std::string> parts = {"<tool_call>",
                                          "</tool_call>",
                                          "{\"name\": \"bash\"",
                                          ", \"arguments\": ",
                                          "{\"a\": [1, \"x\"]}",
                                          "}",
                                          "{",
                                          "\n",
                                          " ",
                                          "```json\n",
                                          "```",
                                          "<think>",
                                          "</think>",
                                          "word",
                                          "<",
                                          "\"",
                                          "\\",
                                          "\xc3\xa9",
                                          "{\"arguments\": "};
  std::mt19937 random(7);
  for (int round = 0; round < 3000; ++round) {
    std::string text;
    const std::size_t count = random() % 14;
    for (std::size_t i = 0; i < count; ++i) text += parts[random() % parts.size()];
    OutputParserOptions options = options_with({"bash"});
    options.starts_in_reasoning = random() % 4 == 0;
    const Lines whole = parse(options, {text});
    std::vector<std::string> pieces;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t take = 1 + random() % 6;
      pieces.push_back(text.substr(at, take));
      at += take;
    }
    ASSERT_EQ(parse(options, pieces), whole) << text;
  }
}

TEST(OutputParser, WithoutToolsCallsAreText) {
  const std::string call = "<tool_call>\n{\"name\": \"bash\", \"arguments\": {}}\n</tool_call>";
  EXPECT_EQ(parse(options_with({}), {call}), Lines{"text:" + call});
}

TEST(OutputParser, PromptThatOpensTheThoughtStartsInIt) {
  OutputParserOptions options = options_with({});
  options.starts_in_reasoning = true;
  EXPECT_EQ(parse(options, {"\nhm\n</thi", "nk>\n\nYes"}), (Lines{"thought:hm", "text:Yes"}));
}

TEST(OutputParser, ArgumentsArriveAsTheyAreWritten) {
  OutputParser parser(options_with({"bash"}));
  std::vector<OutputEvent> events;
  parser.feed("<tool_call>\n{\"name\": \"bash\", \"arguments\": {\"comm", events);
  EXPECT_EQ(lines_of(events), (Lines{"begin0:bash", "args0:{\"comm"}));
  events.clear();
  parser.feed("and\": \"l", events);
  EXPECT_EQ(lines_of(events), Lines{"args0:and\": \"l"});
}

TEST(OutputParser, TextIsNotHeldBackBeyondWhatMayBecomeADelimiter) {
  OutputParser parser(options_with({"bash"}));
  std::vector<OutputEvent> events;
  parser.feed("Hello <to", events);
  EXPECT_EQ(lines_of(events), Lines{"text:Hello"});
}

// A quadratic parser takes minutes for this.
TEST(OutputParser, WorkIsLinear) {
  std::string text;
  for (int i = 0; i < 200000; ++i) text += i % 3 == 0 ? "{\n" : i % 3 == 1 ? "\n\n" : "<tool_call>{";
  OutputParser parser(options_with({"bash"}));
  std::vector<OutputEvent> events;
  std::string back;
  for (const char c : text) parser.feed(std::string(1, c), events);
  parser.finish(events);
  for (const OutputEvent& event : events) back += std::get<TextDelta>(event).text;
  EXPECT_EQ(back, text);
}

}  // namespace
}  // namespace kvasir::chat
