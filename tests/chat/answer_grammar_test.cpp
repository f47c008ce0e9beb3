#include "chat/answer_grammar.h"

#include <gtest/gtest.h>

#include "chat/grammar_judge.h"
#include "chat/python_regex.h"

namespace kvasir::chat {
namespace {

struct Verdict {
  std::string pattern;
  std::vector<std::string> matches, others;
};

// The verdicts are those of Python's re.fullmatch; the end-to-end tests ask it about generated answers.
TEST(RegexAnswer, MatchesAsPythonDoes) {
  KVASIR_REQUIRE_MODEL(text::qwen());
  const std::vector<Verdict> cases{
      {R"(\d{3}-\d{4})", {"555-1234"}, {"555-123", "555-12345", ""}},
      {R"(^(yes|no)$)", {"yes", "no"}, {"maybe", "yesno"}},
      {R"(^a$|^b+$)", {"a", "bbb"}, {"ab", ""}},
      {R"((^a$|^b$))", {"a", "b"}, {"ab"}},
      {R"(\Ax\Z)", {"x"}, {"xx"}},
      {R"(a*)", {"", "aaa"}, {"b"}},
      {R"(a|ab|abc)", {"a", "ab", "abc"}, {"abcd"}},
      {R"([a-z]+?\s*=\s*"[^"/]*")", {"x=\"1\"", "name = \"a b\""}, {"x=\"a/b\"", "x=1"}},
      {R"(https?://\w+(\.\w+)+/?)", {"http://a.b", "https://a_1.example/"}, {"http://a", "http://é-.b"}},
      {R"({"a": \d+})", {R"({"a": 12})"}, {R"({"a": })"}},
      {R"(x{,2}y)", {"y", "xxy"}, {"xxxy"}},
      {R"((?P<year>\d{4})(?:-(?P<month>\d\d))?)", {"2024", "2024-05"}, {"24"}},
      {R"((?i)hello)", {"HELLO", "hello"}, {"help"}},
      {R"([]a]+)", {"]a]"}, {"b"}},
      {R"([^]a])", {"b"}, {"]", "a"}},
      {R"([\w.-]+@[\w-]+)", {"a.b-c@d-e", "é@1"}, {"a b@c"}},
      {R"([a&&b[~]+)", {"&&", "[~", "ab"}, {"c"}},
      {R"(\<b\>\/)", {"<b>/"}, {"b"}},
      {R"(.+)", {"a b", "漢字"}, {"a\nb", ""}},
      {R"([\S\s]{3})", {"a\nb"}, {"ab"}},
      {R"(\W\D)", {"!x"}, {"_x", "!1"}},
      {R"(\x41\u00e9\t)", {"Aé\t"}, {"A"}},
      {R"([\d\-+]+)", {"1-2+3"}, {"a"}},
      {R"(é+)", {"éé"}, {"e"}},
  };
  for (const Verdict& one : cases) {
    const auto grammar = regex_grammar(one.pattern);
    ASSERT_TRUE(grammar.ok()) << one.pattern << grammar.error().message;
    const GrammarJudge judge(*grammar);
    ASSERT_TRUE(judge.compiled()) << one.pattern << judge.problem();
    for (const std::string& text : one.matches) EXPECT_TRUE(judge.admits(text)) << one.pattern << " " << text;
    for (const std::string& text : one.others) EXPECT_FALSE(judge.admits(text)) << one.pattern << " " << text;
  }
}

TEST(RegexAnswer, WhatCannotBeDoneIsNamed) {
  struct Case {
    std::string pattern, expected;
  };
  const std::vector<Case> cases{
      {R"(a(?=b))", "at character 2: look-around"},
      {R"(a(?<!b))", "look-around"},
      {R"((a)\1)", "back-references"},
      {R"((?P<x>a)(?P=x))", "back-references"},
      {R"(\bword\b)", "word boundaries"},
      {R"(a^b)", "\"^\" can only begin"},
      {R"(a$b)", "\"$\" can only end"},
      {R"((a$|b)c)", "\"$\" can only end"},
      {R"(a++)", "possessive"},
      {R"((a)", "at character 1: this \"(\" is not closed"},
      {R"(a))", "without"},
      {R"([a)", "not closed"},
      {R"(\)", "lone"},
      {R"(\q)", "not known"},
      {"", "admits no text"},
      {std::string(20'000, 'a'), "at most 16384"},
  };
  for (const Case& one : cases) {
    const auto grammar = regex_grammar(one.pattern);
    ASSERT_FALSE(grammar.ok()) << one.pattern;
    EXPECT_NE(grammar.error().message.find(one.expected), std::string::npos)
        << one.pattern.substr(0, 40) << "\n"
        << grammar.error().message;
  }
}

TEST(ChoiceAnswer, IsOneOfTheChoicesAndNothingElse) {
  KVASIR_REQUIRE_MODEL(text::qwen());
  const auto grammar = choice_grammar({"a", "ab", "say \"hi\"\n", "<|im_end|>"});
  ASSERT_TRUE(grammar.ok());
  const GrammarJudge judge(*grammar);
  for (const char* text : {"a", "ab", "say \"hi\"\n", "<|im_end|>"}) EXPECT_TRUE(judge.admits(text)) << text;
  for (const char* text : {"", "b", "aab", "say \"hi\""}) EXPECT_FALSE(judge.admits(text)) << text;
  EXPECT_TRUE(GrammarJudge(*choice_grammar({"", "x"})).admits(""));
  EXPECT_FALSE(choice_grammar({}).ok());
  EXPECT_FALSE(choice_grammar({""}).ok());
}

TEST(GrammarAnswer, ReadsLarkAsItIs) {
  KVASIR_REQUIRE_MODEL(text::qwen());
  const auto grammar = any_grammar("?start: sum\nsum: NUM (\"+\" NUM)*\nNUM: /[0-9]+/\n%ignore / /\n");
  ASSERT_TRUE(grammar.ok());
  const GrammarJudge judge(*grammar);
  ASSERT_TRUE(judge.compiled()) << judge.problem();
  EXPECT_TRUE(judge.admits("1 + 22"));
  EXPECT_FALSE(judge.admits("1 +"));
  EXPECT_FALSE(any_grammar("start: " + std::string(300, '(')).ok());
  EXPECT_FALSE(any_grammar(std::string(200'000, ' ')).ok());
}

}  // namespace
}  // namespace kvasir::chat
