#include "chat/schema_patterns.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace kvasir::chat
