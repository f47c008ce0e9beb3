#include "chat/bounded_recursion.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "chat/grammar_judge.h"
#include "chat/schema_grammar.h"

namespace kvasir::chat {
namespace {

boost::json::value bounded(std::string_view schema) {
  return with_bounded_recursion(boost::json::parse(schema));
}
void expect_unchanged(std::string_view schema) {
  EXPECT_EQ(bounded(schema), boost::json::parse(schema)) << schema;
}
GrammarJudge judge_of(std::string_view schema) {
  return GrammarJudge("start: " + arguments_rule(boost::json::parse(schema), SchemaReading::kStrict));
}

constexpr std::string_view kTree =
    R"({"type":"object","properties":{"tree":{"$ref":"#/$defs/node"}},"required":["tree"],)"
    R"("$defs":{"node":{"type":"object","properties":{"leaf":{"type":"boolean"},)"
    R"("children":{"type":"array","items":{"$ref":"#/$defs/node"}}},"required":["leaf"]}}})";
constexpr std::string_view kList =
    R"({"type":"object","properties":{"list":{"$ref":"#/definitions/link"}},)"
    R"("definitions":{"link":{"type":"object","properties":{"value":{"type":"integer"},)"
    R"("next":{"anyOf":[{"$ref":"#/definitions/link"},{"type":"null"}]}},"required":["value","next"]}}})";

std::string repeated(std::string_view text, int count) {
  std::string all;
  for (int i = 0; i < count; ++i) all += text;
  return all;
}
// A tree and a list of so many levels.
std::string tree(int levels) {
  return R"({"tree": )" + repeated(R"({"leaf": false, "children": [)", levels - 1) + R"({"leaf": true})" +
         repeated("]}", levels - 1) + "}";
}
std::string list(int levels) {
  return R"({"list": )" + repeated(R"({"value": 1, "next": )", levels) + "null" + repeated("}", levels) + "}";
}

TEST(BoundedRecursion, ATreeHasThirtyTwoLevels) {
  KVASIR_REQUIRE_MODEL(text::qwen());
  const GrammarJudge judge = judge_of(kTree);
  ASSERT_TRUE(judge.compiled()) << judge.problem();
  for (const int levels : {1, 2, kRecursionLevels}) EXPECT_TRUE(judge.admits(tree(levels))) << levels;
  EXPECT_FALSE(judge.admits(tree(kRecursionLevels + 1)));
  // The last level may say that it has no children.
  std::string empty = tree(kRecursionLevels);
  const std::string leaf = R"({"leaf": true})";
  empty.replace(empty.find(leaf), leaf.size(), R"({"leaf": true, "children": []})");
  EXPECT_TRUE(judge.admits(empty));
}

TEST(BoundedRecursion, AListEndsWithItsNull) {
  KVASIR_REQUIRE_MODEL(text::qwen());
  const GrammarJudge judge = judge_of(kList);
  ASSERT_TRUE(judge.compiled()) << judge.problem();
  EXPECT_TRUE(judge.admits(list(kRecursionLevels)));
  EXPECT_FALSE(judge.admits(list(kRecursionLevels + 1)));
}

TEST(BoundedRecursion, WhatRefersToEachOtherCountsTogether) {
  KVASIR_REQUIRE_MODEL(text::qwen());
  const GrammarJudge judge =
      judge_of(R"({"type":"object","properties":{"a":{"$ref":"#/$defs/a"}},"$defs":{)"
               R"("a":{"type":"object","properties":{"b":{"$ref":"#/$defs/b"}}},)"
               R"("b":{"type":"object","properties":{"a":{"$ref":"#/$defs/a"},"c":{"$ref":"#/$defs/c"}}},)"
               R"("c":{"type":"integer"}}})");
  ASSERT_TRUE(judge.compiled()) << judge.problem();
  const auto pairs = [](int count) {
    return repeated(R"({"a": {"b": )", count) + R"({"c": 1})" + repeated("}}", count);
  };
  EXPECT_TRUE(judge.admits(pairs(kRecursionLevels / 2)));
  EXPECT_FALSE(judge.admits(pairs(kRecursionLevels / 2 + 1)));
}

TEST(BoundedRecursion, WhatStandsBesideAReferenceStays) {
  const boost::json::value made = bounded(
      R"({"properties":{"n":{"$ref":"#/$defs/n","description":"a tree"}},"$defs":{"s":{"type":"string"},)"
      R"("n":{"properties":{"n":{"$ref":"#/$defs/n"},"s":{"$ref":"#/$defs/s"}}}}})");
  EXPECT_EQ(made.at("properties").at("n").at("description"), "a tree");
  const boost::json::object& shared = made.at("$defs").as_object();
  EXPECT_EQ(shared.size(), 1U + kRecursionLevels);
  EXPECT_EQ(shared.at("s"), boost::json::parse(R"({"type":"string"})"));
  const std::string_view first = made.at("properties").at("n").at("$ref").as_string();
  ASSERT_TRUE(first.starts_with("#/$defs/"));
  EXPECT_EQ(shared.at(first.substr(8)).at("properties").at("s").at("$ref"), "#/$defs/s");
}

TEST(BoundedRecursion, WithoutRecursionNothingChanges) {
  expect_unchanged(
      R"({"type":"object","properties":{"a":{"$ref":"#/$defs/a"}},"$defs":{"a":{"type":"integer"}}})");
  expect_unchanged(
      R"({"type":"object","properties":{"a":{"enum":[{"$ref":"#/$defs/a"}]}},"$defs":{"a":{}}})");
  expect_unchanged("true");
}

TEST(BoundedRecursion, WhatLessWouldWidenOrCannotBeFollowedIsLeftAlone) {
  expect_unchanged(R"({"properties":{"a":{"$ref":"#/$defs/a"}},"$defs":{"a":{"not":{"$ref":"#/$defs/a"}}}})");
  expect_unchanged(R"({"properties":{"children":{"items":{"$ref":"#"}}}})");
  std::string large =
      R"({"properties":{"a":{"$ref":"#/$defs/a"}},"$defs":{"a":{"properties":{"a":{"$ref":"#/$defs/a"}},"description":")";
  expect_unchanged(large + std::string(20'000, 'x') + R"("}}})");
}

}  // namespace
}  // namespace kvasir::chat
