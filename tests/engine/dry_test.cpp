#include "engine/dry.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <fstream>
#include <random>
#include <sstream>

#include "engine/sampler.h"

namespace kvasir::engine {
namespace {

namespace json = boost::json;

// One letter a token: 0 is 'a'. Token 26 is a line break, 27 the two letters "ab".
constexpr std::size_t kVocabulary = 28;
const std::vector<std::string>& texts() {
  static const std::vector<std::string> kTexts = [] {
    std::vector<std::string> list;
    for (char c = 'a'; c <= 'z'; ++c) list.emplace_back(1, c);
    list.emplace_back("\n");
    list.emplace_back("ab");
    return list;
  }();
  return kTexts;
}
std::string_view text_of(TokenId token) {
  return texts()[static_cast<std::size_t>(token)];
}

std::vector<TokenId> tokens_of(const std::string& text) {
  std::vector<TokenId> tokens;
  for (const char c : text) tokens.push_back(c == '\n' ? 26 : c == '*' ? 27 : c - 'a');
  return tokens;
}

DryParams strict(std::vector<std::string> breakers = {}) {
  DryParams params;
  params.multiplier = 0.8F;
  params.sequence_breakers = std::move(breakers);
  return params;
}

// What is taken from each token's logit.
std::vector<float> penalties(const DryParams& params, const std::vector<TokenId>& history) {
  std::vector<float> row(kVocabulary, 0.0F);
  std::vector<std::uint32_t> lengths(kVocabulary, 0);
  apply_dry(params, history, text_of, row, lengths);
  EXPECT_EQ(std::ranges::count(lengths, 0U), static_cast<std::ptrdiff_t>(kVocabulary));
  for (float& logit : row) logit = -logit;
  return row;
}
float penalty_of(char next, const DryParams& params, const std::string& history) {
  return penalties(params, tokens_of(history))[static_cast<std::size_t>(tokens_of({next}).front())];
}

TEST(Dry, PenalisesWhatWouldLengthenARepetition) {
  EXPECT_FLOAT_EQ(penalty_of('d', strict(), "abcdxabc"), 0.8F * 1.75F);
  EXPECT_FLOAT_EQ(penalty_of('c', strict(), "abcdxab"), 0.8F);
  EXPECT_EQ(penalty_of('b', strict(), "abcdxa"), 0.0F) << "one token is within the allowed length";
  EXPECT_EQ(penalty_of('e', strict(), "abcdxabc"), 0.0F);
}

TEST(Dry, TheLongestOfSeveralRepetitionsCounts) {
  EXPECT_FLOAT_EQ(penalty_of('d', strict(), "bcdabcdbcdxabc"), 0.8F * 1.75F);
}

TEST(Dry, ABreakEndsARunAndIsNeverPenalised) {
  EXPECT_FLOAT_EQ(penalty_of('d', strict({"\n"}), "abc\nbcdxabc\nbc"), 0.8F);
  EXPECT_FLOAT_EQ(penalty_of('d', strict(), "abc\nbcdxabc\nbc"), 0.8F * std::pow(1.75F, 4.0F));
  EXPECT_EQ(penalty_of('\n', strict({"\n"}), "abc\nxabc"), 0.0F);
  EXPECT_EQ(penalty_of('d', strict({"\n"}), "bc\ndxbc\n"), 0.0F) << "the history ends with a break";
}

TEST(Dry, ABreakMayBeAPartOfATokenOrSeveralTokens) {
  // '*' is the token "ab".
  EXPECT_FLOAT_EQ(penalty_of('d', strict({"b"}), "x*cdy*c"), 0.0F) << "a part of a token ends the run";
  EXPECT_FLOAT_EQ(penalty_of('d', strict({"xy"}), "qxycdzqxyc"), 0.0F) << "c alone is behind the break";
  EXPECT_FLOAT_EQ(penalty_of('e', strict({"xy"}), "qxycdezqxycd"), 0.8F) << "behind the two tokens";
  EXPECT_EQ(penalty_of('y', strict({"xy"}), "pqxyzpqx"), 0.0F) << "it would complete a break";
}

TEST(Dry, LooksBackAsFarAsAsked) {
  DryParams params = strict();
  params.penalty_last_n = 7;
  EXPECT_FLOAT_EQ(penalty_of('d', params, "abcdxabc"), 0.8F) << "the first a is out of sight";
  params.penalty_last_n = 0;
  EXPECT_EQ(penalty_of('d', params, "abcdxabc"), 0.0F);
}

TEST(Dry, AHugePenaltyLeavesTheRowFinite) {
  DryParams params = strict();
  params.base = 1e9F;
  const float penalty = penalty_of('a', params, std::string(200, 'a'));
  EXPECT_TRUE(std::isfinite(penalty));
  EXPECT_GT(penalty, 1e20F);
}

// The author's rule, read aloud: every earlier place of the last token, back as far as both sides agree.
TEST(DryProperty, AgreesWithBruteForce) {
  std::mt19937 random(11);
  for (int round = 0; round < 500; ++round) {
    std::vector<TokenId> history;
    for (std::size_t n = 1 + random() % 120; n > 0; --n)
      history.push_back(static_cast<TokenId>(random() % 3));
    if (random() % 2 == 0) history[random() % history.size()] = 26;
    DryParams params = strict({"\n"});
    params.allowed_length = 1 + random() % 4;
    std::vector<double> expected(kVocabulary, 0.0);
    const std::size_t size = history.size();
    for (std::size_t i = 0; i + 1 < size; ++i) {
      std::size_t run = 0;
      while (run < 50 && run <= i && history[i - run] == history[size - 1 - run] && history[i - run] != 26)
        ++run;
      const auto next = static_cast<std::size_t>(history[i + 1]);
      if (run < std::max(params.allowed_length, 1U) || next == 26) continue;
      expected[next] =
          std::max(expected[next], 0.8 * std::pow(1.75, static_cast<double>(run) - params.allowed_length));
    }
    const std::vector<float> got = penalties(params, history);
    for (std::size_t t = 0; t < kVocabulary; ++t)
      ASSERT_NEAR(got[t], expected[t], 1e-5 * std::max(1.0, expected[t]))
          << "round " << round << " token " << t;
  }
}

}  // namespace
}  // namespace kvasir::engine
