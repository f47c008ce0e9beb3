#include "engine/stop_matcher.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace kvasir::engine {
namespace {

TEST(StopMatcher, HoldsBackWhatMayBecomeAStopString) {
  StopMatcher matcher({"END"});
  EXPECT_EQ(matcher.feed("text E"), "text ");
  EXPECT_EQ(matcher.feed("N"), "");
  EXPECT_EQ(matcher.feed("T"), "ENT");
  EXPECT_EQ(matcher.feed(" EN"), " ");
  EXPECT_EQ(matcher.finish(), "EN");
  EXPECT_FALSE(matcher.matched());
}

TEST(StopMatcher, CutsAtTheMatchThatEndsFirst) {
  StopMatcher matcher({"long stop", "stop", "ng"});
  EXPECT_EQ(matcher.feed("a long stop"), "a lo");
  EXPECT_EQ(matcher.matched(), "ng");
  EXPECT_EQ(matcher.feed("more"), "");
  EXPECT_EQ(matcher.finish(), "");
}

TEST(StopMatcher, OfMatchesThatEndTogetherTheLongestCuts) {
  StopMatcher matcher({"b", "ab", ""});
  EXPECT_EQ(matcher.feed("xab"), "x");
  EXPECT_EQ(matcher.matched(), "ab");
}

TEST(StopMatcher, HeldBackCharactersStayWhole) {
  StopMatcher matcher({"é!"});
  EXPECT_EQ(matcher.feed("caf"), "caf");
  EXPECT_EQ(matcher.feed("é"), "");
  EXPECT_EQ(matcher.feed("?"), "é?");
}

struct Expected {
  std::string visible;
  std::string stop;
};

// Every end in order, every stop string at it.
Expected brute_force(const std::vector<std::string>& stops, const std::string& text) {
  for (std::size_t end = 1; end <= text.size(); ++end) {
    std::string best;
    for (const std::string& stop : stops) {
      if (stop.size() > best.size() && text.substr(0, end).ends_with(stop)) best = stop;
    }
    if (!best.empty()) return {text.substr(0, end - best.size()), best};
  }
  return {text, ""};
}

TEST(StopMatcherProperty, AgreesWithBruteForceHoweverTheTextIsCut) {
  std::mt19937_64 random(7);
  const auto pick = [&](std::size_t n) {
    return std::uniform_int_distribution<std::size_t>(0, n - 1)(random);
  };
  const auto word = [&](std::size_t longest) {
    std::string s(pick(longest) + 1, 'a');
    for (char& c : s) c = static_cast<char>('a' + pick(2));
    return s;
  };
  for (int round = 0; round < 20'000; ++round) {
    std::vector<std::string> stops;
    for (std::size_t i = pick(4); i > 0; --i) stops.push_back(word(6));
    const std::string text = word(30);
    StopMatcher matcher(stops);
    std::string visible;
    for (std::size_t at = 0; at < text.size() && !matcher.matched();) {
      const std::size_t length = std::min(text.size() - at, pick(5) + 1);
      visible += matcher.feed(text.substr(at, length));
      at += length;
      // Nothing of what is visible may still turn into a stop string.
      if (matcher.matched()) continue;
      for (const std::string& stop : stops) {
        const std::size_t end = visible.size();
        for (std::size_t n = 1; n < stop.size() && n <= end && at == end; ++n) {
          ASSERT_FALSE(visible.ends_with(stop.substr(0, n))) << visible << " / " << stop;
        }
      }
    }
    visible += matcher.finish();
    const Expected expected = brute_force(stops, text);
    ASSERT_EQ(visible, expected.visible);
    ASSERT_EQ(matcher.matched().value_or(""), expected.stop);
  }
}

}  // namespace
}  // namespace kvasir::engine
