#include "chat/schema_patterns.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string_view>
#include <utility>

#include "chat/grammar_judge.h"

namespace kvasir::chat {
namespace {

TEST(SchemaPatterns, ClassesAreAscii) {
  EXPECT_EQ(with_ascii_classes(R"(^\d{1,3}(\.\d{1,2})?$)"), R"(^[0-9]{1,3}(\.[0-9]{1,2})?$)");
  EXPECT_EQ(with_ascii_classes(R"([\w.-]+\D\W)"), R"([A-Za-z0-9_.-]+[^0-9][^A-Za-z0-9_])");
  EXPECT_EQ(with_ascii_classes(R"(\\d[\]\d]\s)"), R"(\\d[\]0-9]\s)");
  EXPECT_EQ(with_ascii_classes(R"([^\D]\)"), R"([^\D]\)");
}

TEST(SchemaPatterns, OnlyPatternsOfASchemaAreChanged) {
  const auto schema = boost::json::parse(
      R"({"properties":{"pattern":{"type":"string","pattern":"\\d"},"v":{"enum":[{"pattern":"\\d"}]}},)"
      R"("patternProperties":{"^\\w$":{"items":[{"pattern":"\\w"}]}}})");
  const auto expected = boost::json::parse(
      R"({"properties":{"pattern":{"type":"string","pattern":"[0-9]"},"v":{"enum":[{"pattern":"\\d"}]}},)"
      R"("patternProperties":{"^[A-Za-z0-9_]$":{"items":[{"pattern":"[A-Za-z0-9_]"}]}}})");
  EXPECT_EQ(with_engine_patterns(schema), expected);
}

TEST(SchemaPatterns, AddressesAreAsLongAsTheirStandardsAllow) {
  for (const auto& [format, most] : {std::pair{"email", 254}, std::pair{"hostname", 253}}) {
    const auto limit = [&](boost::json::object schema) {
      schema["format"] = format;
      const boost::json::value made = with_engine_patterns(schema);
      EXPECT_TRUE(made.get_object().contains("pattern"));
      return made.at("maxLength").to_number<int>();
    };
    EXPECT_EQ(limit({}), most);
    EXPECT_EQ(limit({{"maxLength", 32}}), 32);
    EXPECT_EQ(limit({{"maxLength", 1000}}), most);
  }
}

TEST(SchemaPatterns, AUriKeepsItsFormatAndHasAShortScheme) {
  const auto made = with_engine_patterns(boost::json::parse(R"({"type":"string","format":"uri"})"));
  EXPECT_EQ(made.at("format"), boost::json::value("uri"));
  EXPECT_EQ(made.at("pattern"), boost::json::value("^[a-zA-Z][a-zA-Z0-9+.-]{0,31}:"));
}

TEST(SchemaPatterns, IntegersHaveNoMoreThan64Bits) {
  const auto made = [](std::string_view schema) { return with_engine_patterns(boost::json::parse(schema)); };
  constexpr std::int64_t kMost = 9'200'000'000'000'000'000;
  EXPECT_EQ(made(R"({"type":"integer"})"),
            (boost::json::object{{"type", "integer"}, {"maximum", kMost}, {"minimum", -kMost}}));
  EXPECT_EQ(made(R"({"type":["integer","null"],"exclusiveMinimum":0})").at("maximum"), kMost);
  for (const char* schema : {R"({"type":"integer","minimum":3,"exclusiveMaximum":7})", R"({"type":"number"})",
                             R"({"type":["integer","number"]})", R"({"properties":{"type":{"const":1}}})"}) {
    EXPECT_EQ(made(schema), boost::json::parse(schema));
  }
  EXPECT_FALSE(made(R"({"type":"integer","minimum":1e19})").get_object().contains("maximum"));
}

TEST(SchemaPatterns, NumbersWrittenInDigitsAloneEndInADoublesRange) {
  const auto made = [](std::string_view schema) { return with_engine_patterns(boost::json::parse(schema)); };
  constexpr std::int64_t kMost = 9'200'000'000'000'000'000;
  const boost::json::value multiples = made(R"({"type":"number","multipleOf":0.25})");
  EXPECT_EQ(multiples.at("maximum"), kMost);
  EXPECT_EQ(multiples.at("minimum"), -kMost);
  EXPECT_EQ(made(R"({"type":"number","minimum":0.5})").at("maximum"), kMost);
  EXPECT_EQ(made(R"({"type":["number","null"],"exclusiveMaximum":0})").at("minimum"), -kMost);
  EXPECT_EQ(made(R"({"type":["integer","number"],"multipleOf":2})").at("minimum"), -kMost);
  EXPECT_FALSE(made(R"({"type":"number","maximum":1e300})").get_object().contains("minimum"));
}

TEST(SchemaPatterns, TheEngineAdmitsMultiplesInADoublesRangeOnly) {
  KVASIR_REQUIRE_MODEL(text::qwen());
  const boost::json::value schema = boost::json::parse(R"({"type":"number","multipleOf":0.25})");
  const GrammarJudge judge("start: %json " + boost::json::serialize(with_engine_patterns(schema)));
  ASSERT_TRUE(judge.compiled()) << judge.problem();
  for (const char* number : {"0", "0.75", "-3.50", "9000000000000000000.25"})
    EXPECT_TRUE(judge.admits(number)) << number;
  EXPECT_FALSE(judge.admits("0.3"));
  EXPECT_FALSE(judge.admits(std::string(400, '5')));
}

}  // namespace
}  // namespace kvasir::chat
