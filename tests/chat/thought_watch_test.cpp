#include "chat/thought_watch.h"

#include <gtest/gtest.h>

#include <random>

#include "event_lines.h"

namespace kvasir::chat {
namespace {

const ReasoningFormat kThink = {"<think>", "</think>"};
const ReasoningFormat kHarmony = {"<|channel|>analysis<|message|>", "<|end|>", true, {}, ""};

// What of each token belongs to no thought, joined by bars.
std::string outside(ThoughtWatch& watch, const std::vector<std::string>& tokens) {
  std::string text;
  for (const std::string& token : tokens) {
    text += watch.feed(token);
    text += '|';
  }
  return text;
}

TEST(ThoughtWatch, BytesBehindTheTagInItsTokenAreOutside) {
  ThoughtWatch watch(kThink, true);
  EXPECT_EQ(outside(watch, {"hm", ".</", "think", ">\n\n{", "x"}),
            "||"
            "|\n\n{|x|");
  EXPECT_FALSE(watch.inside());
  EXPECT_EQ(watch.tokens(), 2U);  // "hm" and ".</": the tag's other tokens hold no text
}

TEST(ThoughtWatch, OpensAtTheBeginningOnly) {
  ThoughtWatch watch(kThink, false);
  EXPECT_EQ(outside(watch, {"\n", "<thi", "nk>\n", "hm", "</think>", "<think>"}), "\n|<thi||||<think>|");
  EXPECT_FALSE(watch.inside());
  ThoughtWatch late(kThink, false);
  outside(late, {"Use ", "<think>"});
  EXPECT_FALSE(late.inside());
}

TEST(ThoughtWatch, WhiteSpaceBesideTheTagsIsNotCounted) {
  ThoughtWatch watch(kThink, false);
  outside(watch, {"<think>", "\n", "one", "\n\n", "two", "\n", "</think>", "\n\n", "three"});
  EXPECT_EQ(watch.tokens(), 3U);
}

TEST(ThoughtWatch, WhatTurnsOutToBeNoTagIsCounted) {
  ThoughtWatch watch(kThink, true);
  outside(watch, {"a", "<", "/th", "<", "b", "<", "/think>"});
  EXPECT_EQ(watch.tokens(), 5U);
}

TEST(ThoughtWatch, FamilyThatThinksAgainIsFollowedAgain) {
  ThoughtWatch watch(kHarmony, false);
  outside(watch, {"<|channel|>", "analysis", "<|message|>", "one", "<|end|>", "<|start|>", "assistant"});
  EXPECT_FALSE(watch.inside());
  outside(watch, {"<|channel|>", "commentary", "<|message|>", "Hi", "<|end|>"});
  EXPECT_FALSE(watch.inside());
  outside(watch, {"<|channel|>"});
  EXPECT_EQ(watch.opening(), "<|channel|>");
  outside(watch, {"analysis", "<|message|>", "two", " three"});
  EXPECT_TRUE(watch.inside());
  EXPECT_EQ(watch.thoughts(), 2U);
  EXPECT_EQ(watch.tokens(), 3U);
}

TEST(ThoughtWatch, ClosingIsWhatTheTextHasOfTheTag) {
  ThoughtWatch watch(kThink, true);
  watch.feed("hm </thi");
  EXPECT_EQ(watch.closing(), "</thi");
  watch.feed("<");
  EXPECT_EQ(watch.closing(), "<");
}

// The watch and the parser must agree about what is a thought: bytes fed one by one are tokens, so the count
// is the length of the thought as the parser shows it.
TEST(ThoughtWatch, AgreesWithTheParser) {
  const std::vector<std::string> parts = {"<think>", "</think>", "\n", " ", "word", "<", "</", "think>", ">"};
  std::mt19937 random(3);
  for (int round = 0; round < 5000; ++round) {
    std::string text;
    for (std::size_t i = random() % 12; i > 0; --i) text += parts[random() % parts.size()];
    text += "</think>.";
    OutputParserOptions options;
    options.format = hermes_format();
    options.reasoning = kThink;
    options.starts_in_reasoning = random() % 2 == 0;
    ThoughtWatch watch(kThink, options.starts_in_reasoning);
    for (const char c : text) watch.feed(std::string_view(&c, 1));
    std::size_t thought = 0;
    for (const std::string& line : parse(options, {text})) {
      if (line.starts_with("thought:")) thought += line.size() - std::string_view("thought:").size();
    }
    ASSERT_EQ(watch.tokens(), thought) << text;
  }
}

}  // namespace
}  // namespace kvasir::chat
