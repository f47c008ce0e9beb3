// Every tool format: what it writes, it reads, however the text is cut; what is no call stays text.

#include <gtest/gtest.h>

#include <set>

#include "chat/call_writer.h"
#include "chat/json_text.h"
#include "event_lines.h"
#include "formats.h"

namespace kvasir::chat {
namespace {

using Lines = std::vector<std::string>;

struct Read {
  std::string text;
  std::vector<ToolCall> calls;
};

Read read(const OutputParserOptions& options, const std::string& text) {
  OutputParser parser(options);
  std::vector<OutputEvent> events;
  parser.feed(text, events);
  parser.finish(events);
  Read result;
  for (const OutputEvent& event : events) {
    if (const auto* delta = std::get_if<TextDelta>(&event)) result.text += delta->text;
    if (const auto* begin = std::get_if<ToolCallBegin>(&event)) {
      result.calls.push_back({begin->id, begin->name, {}});
    }
    if (const auto* part = std::get_if<ToolCallArguments>(&event))
      result.calls.back().arguments += part->fragment;
  }
  return result;
}

class ToolFormats : public testing::TestWithParam<std::string> {
 protected:
  const ToolFormat& format() const { return *find_tool_format(GetParam()); }
  OutputParserOptions options() const { return options_for(format()); }
  bool single() const { return format().parallel == ParallelForm::kSingle; }
  // Text before a call must end its line where calls open lines.
  std::string before() const { return "Let me look.\n"; }
};

std::vector<std::string> names() {
  std::vector<std::string> list;
  for (const ToolFormat& format : known_tool_formats()) list.push_back(format.name);
  return list;
}

INSTANTIATE_TEST_SUITE_P(Every, ToolFormats, testing::ValuesIn(names()), [](const auto& format) {
  std::string name = format.param;
  for (char& c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  }
  return name;
});

const std::vector<std::string>& arguments() {
  static const std::vector<std::string> list = {
      R"({"city": "Oslo"})",
      R"({"city": "São \"P\" 'x' \\ <b> & {y}\n  second line\n", "days": -3, "metric": true})",
      R"({"city": "", "note": null, "tags": ["a", "b c", ""], "place": {"lat": 1.5, "name": "Ås"}})",
      R"({"city": "x", "note": "nullable", "any": "12 monkeys", "tags": []})",
      R"({"city": "y", "any": 12, "metric": false})",
      "{}"};
  return list;
}

TEST_P(ToolFormats, ReadsWhatItWrites) {
  for (const std::string& text : arguments()) {
    const ToolCall call{"abc123XYZ", "get_weather", text};
    const Read got = read(options(), before() + write_calls(format(), {&call, 1}));
    ASSERT_EQ(got.calls.size(), 1U) << write_calls(format(), {&call, 1}) << "\n" << got.text;
    EXPECT_EQ(got.calls[0].name, "get_weather");
    EXPECT_EQ(canonical_arguments(got.calls[0].arguments), canonical_arguments(text))
        << got.calls[0].arguments;
    EXPECT_EQ(got.text, "Let me look.");
  }
}

TEST_P(ToolFormats, AHeldCallIsToldAsSoonAsItsNameCanBeNoOther) {
  const bool id_beside_name =
      format().as<NamedJsonStyle>() && !format().as<NamedJsonStyle>()->id_mark.empty();
  const ToolCall call{"abc123XYZ", "get_weather", arguments()[1]};
  const std::string written = write_calls(format(), {&call, 1});
  const std::string text = before() + written;
  const bool opened = std::ranges::any_of(call_openers(format()), [&](const std::string& opener) {
    return written.find(opener) != std::string::npos;
  });
  if (!opened || id_beside_name) GTEST_SKIP() << "nothing is certain that early";
  OutputParserOptions held = options();
  held.declared_only = true;
  const std::size_t name = text.find("get_weather");
  ASSERT_NE(name, std::string::npos);
  OutputParser parser(held);
  std::vector<OutputEvent> events;
  parser.feed(text.substr(0, name + 1), events);
  ASSERT_FALSE(events.empty());
  const auto* begin = std::get_if<ToolCallBegin>(&events.back());
  ASSERT_NE(begin, nullptr) << text.substr(0, name + 1);
  EXPECT_EQ(begin->name, "get_weather");
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    ASSERT_EQ(parse(held, {text.substr(0, cut), text.substr(cut)}), parse(options(), {text}))
        << "cut at " << cut;
  }
}

TEST_P(ToolFormats, ReadsSeveralCalls) {
  if (single()) GTEST_SKIP() << "the family writes one call a turn";
  const std::vector<ToolCall> calls = {{"abc123XY0", "get_weather", arguments()[1]},
                                       {"abc123XY1", "bash", R"({"command": "ls -l | wc"})"},
                                       {"abc123XY2", "get_weather", arguments()[2]}};
  const Read got = read(options(), before() + write_calls(format(), calls));
  ASSERT_EQ(got.calls.size(), 3U) << write_calls(format(), calls);
  for (std::size_t i = 0; i < calls.size(); ++i) {
    EXPECT_EQ(got.calls[i].name, calls[i].name);
    EXPECT_EQ(canonical_arguments(got.calls[i].arguments), canonical_arguments(calls[i].arguments));
  }
  EXPECT_EQ(got.text, "Let me look.");
}

TEST_P(ToolFormats, TextBehindCallsIsKept) {
  const ToolCall call{"abc123XYZ", "bash", R"({"command": "ls"})"};
  const Read got = read(options(), before() + write_calls(format(), {&call, 1}) + "\nThat was it.");
  ASSERT_EQ(got.calls.size(), 1U);
  EXPECT_EQ(got.text, "Let me look.\nThat was it.");
}

TEST_P(ToolFormats, EveryCutGivesTheSameEvents) {
  std::vector<ToolCall> calls = {{"abc123XY0", "get_weather", arguments()[1]},
                                 {"abc123XY1", "get_weather", arguments()[2]}};
  if (single()) calls.pop_back();
  const std::string text = before() + write_calls(format(), calls) + " Done.";
  const Lines whole = parse(options(), {text});
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    ASSERT_EQ(parse(options(), {text.substr(0, cut), text.substr(cut)}), whole) << "cut at " << cut;
  }
  std::mt19937 random(7);
  for (int i = 0; i < 50; ++i) ASSERT_EQ(parse(options(), random_pieces(text, random)), whole);
}

// A length stop anywhere: what is there comes out, as a call's beginning or as text.
TEST_P(ToolFormats, NothingIsLostWhenTheTextEndsEarly) {
  const ToolCall call{"abc123XYZ", "get_weather",
                      R"({"city": "Reykjavik", "days": 12345, "tags": ["alpha", "beta"]})"};
  const std::string text = write_calls(format(), {&call, 1});
  for (std::size_t end = 0; end < text.size(); ++end) {
    const std::string part = text.substr(0, end);
    const Read got = read(options(), part);
    ASSERT_LE(got.calls.size(), 1U);
    if (got.calls.empty()) {
      EXPECT_EQ(trim(got.text), trim(part));
      continue;
    }
    for (const std::string_view word : {"Reykjavik", "12345", "alpha", "beta"}) {
      if (part.find(word) == std::string::npos) continue;
      EXPECT_NE((got.calls[0].arguments + got.text).find(word), std::string::npos)
          << part << "\n-> " << got.calls[0].arguments;
    }
  }
}

TEST_P(ToolFormats, ArgumentsStreamAsTheyAreWritten) {
  const std::string city(200, 'x');
  const ToolCall call{"abc123XYZ", "get_weather", "{\"city\": \"" + city + "\"}"};
  const std::string text = write_calls(format(), {&call, 1});
  OutputParser parser(options());
  std::vector<OutputEvent> events;
  parser.feed(text.substr(0, text.find(city) + 100), events);
  std::string streamed;
  for (const OutputEvent& event : events) {
    if (const auto* part = std::get_if<ToolCallArguments>(&event)) streamed += part->fragment;
  }
  EXPECT_GE(std::count(streamed.begin(), streamed.end(), 'x'), 90);
}

TEST_P(ToolFormats, RandomGarbageNeverLosesText) {
  const ToolCall call{"abc123XYZ", "get_weather", R"({"city": "Oslo", "days": 3})"};
  const std::string written = write_calls(format(), {&call, 1});
  std::mt19937 random(11);
  for (int i = 0; i < 400; ++i) {
    // Pieces of a call in any order, with words between them that must come out somewhere.
    std::string text;
    const std::size_t pieces = 1 + random() % 6;
    for (std::size_t p = 0; p < pieces; ++p) {
      const std::size_t from = random() % written.size();
      text += written.substr(from, 1 + random() % 30) + " w" + std::to_string(p) + " ";
    }
    const Lines whole = parse(options(), {text});
    ASSERT_EQ(parse(options(), random_pieces(text, random)), whole) << text;
    std::string all;
    for (const std::string& line : whole) all += line;
    for (std::size_t p = 0; p < pieces; ++p) {
      ASSERT_NE(all.find("w" + std::to_string(p)), std::string::npos) << text << "\n-> " << all;
    }
  }
}

TEST_P(ToolFormats, WorkIsLinear) {
  const std::vector<std::string> openers = call_openers(format());
  std::string text;
  while (text.size() < 400000) text += openers[text.size() % openers.size()];
  OutputParser parser(options());
  std::vector<OutputEvent> events;
  parser.feed(text, events);
  parser.finish(events);
  std::size_t bytes = 0;
  for (const OutputEvent& event : events) {
    if (const auto* delta = std::get_if<TextDelta>(&event)) bytes += delta->text.size();
  }
  if (format().silent.empty()) {
    EXPECT_EQ(bytes, text.size());
  }
}

TEST_P(ToolFormats, MarkersThatAreControlTokensAreNeverShown) {
  OutputParserOptions hidden = options();
  hidden.markers = call_openers(format());
  for (const std::string& opener : call_openers(format())) {
    const Read got = read(hidden, "Well " + opener + " !? no call " + opener);
    EXPECT_TRUE(got.calls.empty());
    EXPECT_EQ(got.text.find(opener), std::string::npos) << got.text;
    EXPECT_NE(got.text.find("no call"), std::string::npos) << got.text;
  }
}

TEST(ToolFormatTable, NamesAreUnique) {
  std::set<std::string> seen;
  for (const ToolFormat& format : known_tool_formats()) EXPECT_TRUE(seen.insert(format.name).second);
  EXPECT_EQ(find_tool_format("no-such"), nullptr);
}

// Not what templates write, but what models do.
struct Sample {
  std::string format;
  std::string text;
  Lines events;
};

TEST(ToolFormatSamples, LooseSpellingsAreRead) {
  const std::vector<Sample> samples = {
      {"qwen3-coder",
       "<function=bash>\n<parameter=command>\nls\n</parameter>\n</function>\n</tool_call>",
       {"begin0:bash", "args0:{\"command\": \"ls\"}", "end0"}},
      {"qwen3-coder",
       "<tool_call><function=get_weather><parameter=metric>True</parameter><parameter=metric>no</parameter>"
       "</function></tool_call>",
       {"begin0:get_weather", "args0:{\"metric\": true}", "end0"}},
      {"harmony",
       "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>commentary to=functions.bash "
       "<|constrain|>json<|message|>{\"command\": \"ls\"}",
       {"thought:Hm.", "begin0:bash", "args0:{\"command\": \"ls\"}", "end0"}},
      {"harmony",
       "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Yes.",
       {"thought:Hm.", "text:Yes."}},
      {"kimi-k2",
       "<|tool_call_begin|>functions.bash:3<|tool_call_argument_begin|>{}<|tool_call_end|>",
       {"begin0:bash", "args0:{}", "end0"}},
      {"lfm2",
       "<|tool_call_start|>[bash(command=\"l's\"), get_weather(days=1_000, tags=('x'))]<|tool_call_end|>",
       {"begin0:bash", "args0:{\"command\": \"l's\"}", "end0", "begin1:get_weather",
        "args1:{\"days\": 1000, \"tags\": ", "end1", "text:('x'))]<|tool_call_end|>"}},
      {"gemma4",
       "<|tool_call>call:bash{two words:<|\"|>x<|\"|>,@q?:1}<tool_call|>",
       {"begin0:bash", "args0:{\"two words\": \"x\", \"@q?\": 1}", "end0"}},
      {"deepseek-v3.2",
       "<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"bash\">\n<｜DSML｜parameter name=\"command\" "
       "string=\"false\">\"ls\"</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜function_calls>",
       {"begin0:bash", "args0:{\"command\": \"ls\"}", "end0"}},
      {"llama3",
       "<|python_tag|>{\"name\": \"bash\", \"parameters\": {\"command\": \"ls\"}}<|eom_id|>",
       {"begin0:bash", "args0:{\"command\": \"ls\"}", "end0"}},
      {"glm-4.5",
       "<tool_call>bash\n<arg_key>command</arg_key>\n<arg_value>ls</arg_value>\n</tool_call>ok",
       {"begin0:bash", "args0:{\"command\": \"ls\"}", "end0", "text:ok"}},
      {"mistral", "[TOOL_CALLS]bash {\"command\": 1}", {"text:[TOOL_CALLS]bash {\"command\": 1}"}},
      {"granite",
       "<|tool_call|> [ {\"name\": \"bash\", \"arguments\": {}} ] and",
       {"begin0:bash", "args0:{}", "end0", "text:and"}},
      {"functionary-v3.2", ">>>all\nHello", {"text:Hello"}},
  };
  for (const Sample& sample : samples) {
    OutputParserOptions options = options_for(*find_tool_format(sample.format));
    EXPECT_EQ(parse(options, {sample.text}), sample.events) << sample.format << ": " << sample.text;
  }
}

TEST(ToolFormatSamples, PropertiesWithinAllOfAreReadByTheirTypes) {
  OutputParserOptions options = options_for(*find_tool_format("qwen3-coder"));
  options.tools = {
      {"set",
       {},
       boost::json::parse(R"({"allOf":[{"$ref":"#/$defs/a"},{"properties":{"n":{"type":"integer"}}}],)"
                          R"("$defs":{"a":{"properties":{"t":{"type":"string"}}}}})")}};
  EXPECT_EQ(parse(options, {"<tool_call>\n<function=set>\n<parameter=t>\n5\n</parameter>\n<parameter=n>\n5\n"
                            "</parameter>\n</function>\n</tool_call>"}),
            (Lines{"begin0:set", "args0:{\"t\": \"5\", \"n\": 5}", "end0"}));
}

TEST(ToolFormatSamples, PromptMayOpenTheCall) {
  OutputParserOptions options = options_for(*find_tool_format("functionary-v3.2"));
  options.starts_in_call = ">>>";
  EXPECT_EQ(parse(options, {"all\nHello"}), (Lines{"text:Hello"}));
  EXPECT_EQ(parse(options, {"bash\n{\"command\": \"ls\"}>>>all\nDone"}),
            (Lines{"begin0:bash", "args0:{\"command\": \"ls\"}", "end0", "text:Done"}));
}

TEST(ToolFormatSamples, AnIdThatTheModelRepeatsIsReplaced) {
  OutputParserOptions options = options_for(*find_tool_format("mistral-call-id"));
  options.make_id = [] { return std::string("serverids"); };
  const std::string call = "[TOOL_CALLS]bash[CALL_ID]interface[ARGS]{}";
  const auto calls = read(options, call + call).calls;
  ASSERT_EQ(calls.size(), 2U);
  EXPECT_EQ(calls[0].id, "interface");
  EXPECT_EQ(calls[1].id, "serverids");
}

TEST(ToolFormatSamples, ModelsIdIsKeptWhereItsFormIsRight) {
  OutputParserOptions options = options_for(*find_tool_format("mistral-call-id"));
  options.make_id = [] { return std::string("serverids"); };
  EXPECT_EQ(read(options, "[TOOL_CALLS]bash[CALL_ID]a1b2c3d4e[ARGS]{}").calls.at(0).id, "a1b2c3d4e");
  EXPECT_EQ(read(options, "[TOOL_CALLS]bash[CALL_ID]12[ARGS]{}").calls.at(0).id, "serverids");
}

}  // namespace
}  // namespace kvasir::chat
