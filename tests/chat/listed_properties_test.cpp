#include "chat/listed_properties.h"

#include <gtest/gtest.h>

#include <string_view>

namespace kvasir::chat {
namespace {

boost::json::value listed(std::string_view schema) {
  return with_listed_properties(boost::json::parse(schema));
}
void expect_unchanged(std::string_view schema) {
  EXPECT_EQ(listed(schema), boost::json::parse(schema)) << schema;
}

TEST(ListedProperties, AnObjectThatListsPropertiesHasNoOthers) {
  EXPECT_EQ(listed(R"({"type":"object","properties":{"a":{}},"required":["a"]})"),
            boost::json::parse(
                R"({"type":"object","properties":{"a":{}},"required":["a"],"additionalProperties":false})"));
  // How a tool without arguments is declared.
  EXPECT_EQ(listed(R"({"type":"object","properties":{}})"),
            boost::json::parse(R"({"type":"object","properties":{},"additionalProperties":false})"));
}

TEST(ListedProperties, WhatTheSchemaSaysAboutOthersHolds) {
  expect_unchanged(R"({"type":"object"})");
  expect_unchanged(R"({"properties":{"a":{}},"additionalProperties":true})");
  expect_unchanged(R"({"properties":{"a":{}},"additionalProperties":{"type":"integer"}})");
  expect_unchanged(R"({"properties":{"a":{}},"patternProperties":{"^x":{}}})");
  expect_unchanged(R"({"properties":{"a":{}},"unevaluatedProperties":false})");
  expect_unchanged(R"({"properties":{"a":{}},"required":["b"]})");
  expect_unchanged(R"({"properties":{"a":{}},"minProperties":2})");
}

TEST(ListedProperties, HoldAtEveryDepth) {
  EXPECT_EQ(
      listed(R"({"properties":{"a":{"type":"array","items":{"properties":{"b":{}}}}},)"
             R"("$defs":{"d":{"anyOf":[{"properties":{"c":{}}},{"type":"null"}]}}})"),
      boost::json::parse(
          R"({"properties":{"a":{"type":"array","items":{"properties":{"b":{}},"additionalProperties":false}}},)"
          R"("$defs":{"d":{"anyOf":[{"properties":{"c":{}},"additionalProperties":false},{"type":"null"}]}},)"
          R"("additionalProperties":false})"));
}

TEST(ListedProperties, AnObjectOfSeveralPartsIsLeftAlone) {
  expect_unchanged(R"({"allOf":[{"properties":{"a":{}}},{"properties":{"b":{}}}]})");
  expect_unchanged(R"({"properties":{"a":{}},"anyOf":[{"properties":{"b":{}}},{"required":["a"]}]})");
  expect_unchanged(R"({"additionalProperties":true,"anyOf":[{"properties":{"b":{}}}]})");
  expect_unchanged(R"({"oneOf":[{"properties":{"a":{}}},{"properties":{"b":{}}}]})");
  expect_unchanged(R"({"not":{"properties":{"a":{}}}})");
  // A shared one that is a part somewhere, in allOf or beside other keywords.
  expect_unchanged(R"({"$defs":{"d":{"properties":{"a":{}}}},)"
                   R"("allOf":[{"$ref":"#/$defs/d"},{"properties":{"b":{}}}]})");
  expect_unchanged(R"({"$defs":{"d":{"properties":{"a":{}}}},)"
                   R"("items":{"$ref":"#/$defs/d","required":["b"]}})");
}

TEST(ListedProperties, ADescribedReferenceIsNoPart) {
  EXPECT_EQ(listed(R"({"items":{"$ref":"#/$defs/d","description":"x"},"$defs":{"d":{"properties":{}}}})"),
            boost::json::parse(R"({"items":{"$ref":"#/$defs/d","description":"x"},)"
                               R"("$defs":{"d":{"properties":{},"additionalProperties":false}}})"));
}

TEST(ListedProperties, ValuesAreNoSchemas) {
  expect_unchanged(R"({"enum":[{"properties":{"a":1}}],"default":{"properties":{}}})");
}

}  // namespace
}  // namespace kvasir::chat
