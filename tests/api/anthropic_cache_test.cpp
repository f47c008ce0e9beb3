#include "api/anthropic_cache.h"

#include <gtest/gtest.h>

namespace kvasir::api {
namespace {

// A prompt of 100 tokens: 40 before the first message, then messages at 40, 60 and 80.
const std::vector<chat::PromptPart> kParts = {{"tools", 5, "tools"},
                                              {"system", 20, "system message"},
                                              {"messages[0]", 40, "user message"},
                                              {"messages[1]", 60, "assistant message"},
                                              {"messages[2]", 80, "user message"}};

std::string told(const std::vector<CacheBreakpoint>& breakpoints, std::uint32_t cached) {
  const auto marks = cache_marks(breakpoints, 2, kParts, 100);
  const InputTokens split = split_prompt(marks, 100, cached);
  EXPECT_EQ(split.input + split.read + split.created_5m + split.created_1h, 100U);
  return std::to_string(split.input) + " " + std::to_string(split.created_5m) + " " +
         std::to_string(split.created_1h);
}

TEST(CacheUsage, WithoutBreakpointsNothingIsCreated) {
  EXPECT_EQ(told({}, 0), "100 0 0");
  EXPECT_EQ(told({}, 30), "70 0 0");
}

TEST(CacheUsage, ABreakpointCountsToTheEndOfItsMessage) {
  EXPECT_EQ(told({{std::nullopt, false}}, 0), "60 40 0");
  EXPECT_EQ(told({{0, false}}, 0), "40 60 0");
  EXPECT_EQ(told({{2, false}}, 0), "1 99 0");
  EXPECT_EQ(told({{2, false}}, 99), "1 0 0");
}

TEST(CacheUsage, LifetimesAreToldApart) {
  EXPECT_EQ(told({{std::nullopt, true}, {1, false}}, 0), "20 40 40");
  EXPECT_EQ(told({{1, false}, {std::nullopt, true}}, 50), "20 30 0");
}

TEST(CacheUsage, WhatWasFoundBeyondABreakpointIsNotCreated) {
  EXPECT_EQ(told({{0, false}}, 70), "30 0 0");
}

TEST(CacheUsage, BeforeTheLookUpNothingIsTold) {
  const InputTokens split =
      split_prompt(cache_marks(std::vector<CacheBreakpoint>{{2, false}}, 2, kParts, 100), 0, 0);
  EXPECT_EQ(split.input + split.read + split.created_5m + split.created_1h, 0U);
}

TEST(CacheUsage, PartsAreLookedForOnlyWhereTheyTellSomething) {
  const auto needs = [](const std::vector<CacheBreakpoint>& breakpoints) {
    return needs_parts(breakpoints, 2);
  };
  EXPECT_FALSE(needs({}));
  EXPECT_FALSE(needs({{std::nullopt, false}, {2, false}}));
  EXPECT_TRUE(needs({{std::nullopt, true}, {2, false}}));
  EXPECT_TRUE(needs({{0, false}}));
}

}  // namespace
}  // namespace kvasir::api
