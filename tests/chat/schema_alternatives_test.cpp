// Schemas taken apart, and the calls that grammars in tags and literal syntaxes admit because of it.

#include "chat/schema_alternatives.h"

#include <gtest/gtest.h>

#include "chat/call_writer.h"
#include "chat/tool_grammar.h"
#include "text/grammar.h"
#include "text/models.h"

namespace kvasir::chat {
namespace {

namespace json = boost::json;

std::string apart(std::string_view schema, std::string_view root = "{}") {
  json::array list;
  for (const json::object& one : schema_alternatives(json::parse(root), json::parse(schema)))
    list.emplace_back(one);
  return json::serialize(list);
}

TEST(SchemaAlternatives, TypesAndOptionsAreTakenApart) {
  EXPECT_EQ(apart(R"({"type":["string","null"],"maxLength":3})"),
            R"([{"type":"string","maxLength":3},{"type":"null","maxLength":3}])");
  EXPECT_EQ(apart(R"({"anyOf":[{"type":"integer"},{"oneOf":[{"type":"boolean"},{"const":"x"}]}]})"),
            R"([{"type":"integer"},{"type":"boolean"},{"enum":["x"],"type":"string"}])");
  EXPECT_EQ(apart(R"({"enum":[1,"a",null]})"), R"([{"enum":[1,null]},{"enum":["a"],"type":"string"}])");
  EXPECT_EQ(apart("true"), "[{}]");
  EXPECT_EQ(apart("false"), "[]");
}

TEST(SchemaAlternatives, AllOfAsksForEverything) {
  EXPECT_EQ(
      apart(R"({"allOf":[{"type":"string","maxLength":9},{"maxLength":5,"pattern":"a"},{"pattern":"b"}]})"),
      R"([{"type":"string","maxLength":5,"pattern":["a","b"]}])");
  EXPECT_EQ(apart(R"({"type":"number","minimum":1,"allOf":[{"type":"integer","minimum":3}]})"),
            R"([{"type":"integer","minimum":3}])");
  EXPECT_EQ(apart(R"({"allOf":[{"type":"string"},{"type":"integer"}]})"), "[]");
  EXPECT_EQ(apart(R"({"enum":["a","b"],"allOf":[{"enum":["b","c"]}]})"),
            R"([{"enum":["b"],"type":"string"}])");
}

TEST(SchemaAlternatives, ObjectsKeepWhatBothSidesKnow) {
  EXPECT_EQ(
      apart(
          R"({"allOf":[{"type":"object","properties":{"a":{},"b":{}},"required":["a"],"additionalProperties":false},)"
          R"({"properties":{"a":{"type":"null"},"c":{}},"required":["b"]}]})"),
      R"([{"type":"object","additionalProperties":false,"required":["a","b"],)"
      R"("properties":{"a":{"allOf":[{},{"type":"null"}]},"b":{}}}])");
}

TEST(SchemaAlternatives, ReferencesAreFollowedAndCyclesEnd) {
  const char* root =
      R"({"$defs":{"n":{"anyOf":[{"type":"null"},{"$ref":"#/$defs/n"}]}, "t":{"type":"string"}}})";
  EXPECT_EQ(apart(R"({"$ref":"#/$defs/t","maxLength":2})", root), R"([{"maxLength":2,"type":"string"}])");
  EXPECT_FALSE(apart(R"({"$ref":"#/$defs/n"})", root).empty());
}

// Whether a call with these arguments may be generated in the format.
bool admits_call(const std::string& format_name, const std::string& parameters,
                 const std::string& arguments) {
  static const auto factory = text::GrammarFactory::create(text::qwen().tokenizer);
  EXPECT_TRUE(factory.ok());
  const ToolFormat& format = *find_tool_format(format_name);
  const Tool tool{"f", {}, json::parse(parameters)};
  const CallableTool callable{&tool, SchemaReading::kStrict};
  const std::string grammar = calls_grammar({&format, {}, {&callable, 1}, false, {}});
  auto matcher = (*factory)->compile_lark(grammar);
  EXPECT_TRUE(matcher.ok()) << (matcher.ok() ? "" : matcher.error().message) << "\n" << grammar;
  const ToolCall call{"abc123XYZ", "f", arguments};
  for (const TokenId token :
       text::qwen().tokenizer->encode(write_calls(format, {&call, 1}), text::SpecialText::kAsText)) {
    if (!(*matcher)->accept(token).ok()) return false;
  }
  return (*matcher)->is_accepting();
}

// The same of one parameter of this schema.
bool admits(const std::string& format_name, const std::string& schema, const std::string& value) {
  return admits_call(format_name,
                     R"({"type":"object","properties":{"p":)" + schema + R"(},"required":["p"]})",
                     "{\"p\": " + value + "}");
}

class TextRules : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Formats, TextRules,
                         testing::Values("qwen3-coder", "glm-4.5", "deepseek-v3.2", "minicpm5", "lfm2",
                                         "gemma4", "hermes"),
                         [](const auto& one) {
                           std::string name = one.param;
                           std::erase_if(
                               name, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; });
                           return name;
                         });

TEST_P(TextRules, LengthPatternAndFormatHold) {
  const auto holds = [](const std::string& schema, const std::string& value) {
    return admits(GetParam(), schema, value);
  };
  EXPECT_TRUE(holds(R"({"type":"string","maxLength":3})", R"("abc")"));
  EXPECT_FALSE(holds(R"({"type":"string","maxLength":3})", R"("abcd")"));
  EXPECT_TRUE(holds(R"({"type":"string","pattern":"^[a-z]+$"})", R"("abc")"));
  EXPECT_FALSE(holds(R"({"type":"string","pattern":"^[a-z]+$"})", R"("ab1")"));
  EXPECT_FALSE(holds(R"({"allOf":[{"type":"string","maxLength":5},{"pattern":"^[a-z]+$"}]})", R"("abcdef")"));
}

TEST_P(TextRules, EachAlternativeOfAPatternHasItsOwnAnchors) {
  const std::string schema = R"({"type":"string","pattern":"^a|b$|\\|[|]c"})";
  for (const char* good : {"ax", "xb", "x|||cx"}) {
    EXPECT_TRUE(admits(GetParam(), schema, "\"" + std::string(good) + "\"")) << good;
  }
  for (const char* bad : {"xa", "bx", "xc|"}) {
    EXPECT_FALSE(admits(GetParam(), schema, "\"" + std::string(bad) + "\"")) << bad;
  }
}

TEST_P(TextRules, ADateWithAPatternKeepsBoth) {
  const std::string schema = R"({"type":"string","format":"date","pattern":"^20"})";
  EXPECT_TRUE(admits(GetParam(), schema, R"("2024-02-29")"));
  EXPECT_FALSE(admits(GetParam(), schema, R"("2023-02-29")"));
  EXPECT_FALSE(admits(GetParam(), schema, R"("1984-02-29")"));
}

TEST_P(TextRules, ParametersPutTogetherByAllOfHold) {
  const std::string parameters =
      R"({"type":"object","allOf":[{"$ref":"#/$defs/a"},{"properties":{"n":{"type":"integer"}},"required":["n"]}],)"
      R"("$defs":{"a":{"properties":{"t":{"type":"string","maxLength":3}},"required":["t"]}}})";
  EXPECT_TRUE(admits_call(GetParam(), parameters, R"({"t": "abc", "n": 5})"));
  EXPECT_FALSE(admits_call(GetParam(), parameters, R"({"t": "abcd", "n": 5})"));
  EXPECT_FALSE(admits_call(GetParam(), parameters, R"({"t": "abc", "n": "five"})"));
  EXPECT_FALSE(admits_call(GetParam(), parameters, R"({"n": 5})"));
}

TEST_P(TextRules, FormatsHold) {
  const struct {
    const char* format;
    const char* good;
    const char* bad;
  } samples[] = {
      {"date", "2024-02-29", "2023-02-29"},
      {"date", "2023-12-31", "0000-01-01"},
      {"time", "23:59:59.5+02:00", "24:00:00Z"},
      {"date-time", "1985-04-12T23:20:50.52Z", "1985-04-31T23:20:50Z"},
      {"duration", "P1Y2M10DT2H30M", "P1D2H"},
      {"duration", "PT36H", "PT0123456789S"},  // a loop of digits, not a span of time
      {"uuid", "f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "f81d4fae-7dec-11d0-a765-00a0c91e6bfg"},
      {"ipv4", "192.168.0.255", "192.168.0.256"},
      {"ipv6", "2001:db8::1", "2001:db8::1::2"},
      {"ipv6", "1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:8::"},
      {"email", "joe.bloggs@example.com", "joe.@example.com"},
      {"hostname", "www.example.com", "-a.example.com"},
      {"uri", "http://example.com:80/a?b=c#d", "//example.com/a"},
  };
  for (const auto& sample : samples) {
    const std::string schema = std::string(R"({"type":"string","format":")") + sample.format + "\"}";
    EXPECT_TRUE(admits(GetParam(), schema, "\"" + std::string(sample.good) + "\"")) << sample.format;
    EXPECT_FALSE(admits(GetParam(), schema, "\"" + std::string(sample.bad) + "\"")) << sample.format;
  }
}

TEST_P(TextRules, OptionsAndTuplesHold) {
  const auto holds = [](const std::string& schema, const std::string& value) {
    return admits(GetParam(), schema, value);
  };
  const std::string either = R"({"anyOf":[{"type":"string","maxLength":3},{"type":"integer","maximum":9}]})";
  EXPECT_TRUE(holds(either, R"("abc")"));
  EXPECT_TRUE(holds(either, "7"));
  EXPECT_FALSE(holds(either, "70"));
  EXPECT_FALSE(holds(either, R"("abcd")"));
  const std::string tuple =
      R"({"type":"array","prefixItems":[{"type":"integer"},{"type":"boolean"}],"items":false,"minItems":2})";
  EXPECT_TRUE(holds(tuple, "[1, true]"));
  EXPECT_FALSE(holds(tuple, "[1, 2]"));
  EXPECT_FALSE(holds(tuple, "[1]"));
  EXPECT_TRUE(holds(R"({"type":"array","items":{"type":"integer"},"maxItems":1})", "[1]"));
  EXPECT_FALSE(holds(R"({"type":"array","items":{"type":"integer"},"maxItems":1})", "[1, 2]"));
}

}  // namespace
}  // namespace kvasir::chat
