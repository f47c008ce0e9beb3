#include "engine/prompt_lookup.h"

#include <gtest/gtest.h>

namespace kvasir::engine {
namespace {

using Tokens = std::vector<TokenId>;

TEST(PromptLookup, GoesOnAsTheLongestEarlierAgreementDid) {
  //                        long agreement      short, later          the end
  const Tokens tokens{7, 1, 2, 3, 4, 50, 51, 9, 2, 3, 4, 60, 61, 7, 1, 2, 3, 4};
  EXPECT_EQ(PromptLookup().guess(tokens, 2), (Tokens{50, 51}));
}

TEST(PromptLookup, OfEqualAgreementsTheLatestCounts) {
  const Tokens tokens{1, 2, 3, 10, 1, 2, 3, 20, 1, 2, 3};
  EXPECT_EQ(PromptLookup().guess(tokens, 1), Tokens{20});
}

TEST(PromptLookup, GuessesNothingFromLessThanThreeTokens) {
  EXPECT_TRUE(PromptLookup().guess(Tokens{5, 2, 3, 10, 11, 2, 3}, 8).empty());
  EXPECT_TRUE(PromptLookup().guess(Tokens{1, 2, 3, 4}, 8).empty());
  EXPECT_TRUE(PromptLookup().guess(Tokens{}, 8).empty());
  EXPECT_TRUE(PromptLookup().guess(Tokens{1, 2, 3, 1, 2, 3}, 0).empty());
}

TEST(PromptLookup, APeriodGoesOn) {
  EXPECT_EQ(PromptLookup().guess(Tokens{9, 1, 2, 1, 2, 1, 2}, 5), (Tokens{1, 2, 1, 2, 1}));
}

TEST(PromptLookup, IsAtMostTwiceAsLongAsTheAgreement) {
  Tokens tokens{1, 2, 3};
  for (TokenId t = 100; t < 140; ++t) tokens.push_back(t);
  tokens.insert(tokens.end(), {1, 2, 3});
  EXPECT_EQ(PromptLookup().guess(tokens, 16).size(), 6U);
}

TEST(PromptLookup, AfterWrongGuessesMoreMustAgreeUntilOneIsRight) {
  const Tokens short_agreement{1, 2, 3, 10, 11, 12, 1, 2, 3};
  const Tokens long_agreement{1, 2, 3, 4, 5, 6, 10, 1, 2, 3, 4, 5, 6};
  PromptLookup lookup;
  lookup.judge(6, 0);
  EXPECT_TRUE(lookup.guess(short_agreement, 6).empty());
  EXPECT_EQ(lookup.guess(long_agreement, 1), Tokens{10});
  lookup.judge(1, 1);
  EXPECT_FALSE(lookup.guess(short_agreement, 6).empty());
}

TEST(PromptLookup, LooksAtAHundredThousandTokensOfOneKindInLinearTime) {
  const Tokens same(100'000, 5);
  EXPECT_EQ(PromptLookup().guess(same, 4), (Tokens{5, 5, 5, 5}));
}

}  // namespace
}  // namespace kvasir::engine
