// GBNF through the real grammar engine and a real tokenizer, against llama.cpp's own matcher
// (tools/oracle/make_gbnf_golden.py).

#include "chat/gbnf.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "chat/gbnf_lark.h"
#include "chat/grammar_judge.h"

namespace kvasir::chat {
namespace {

namespace json = boost::json;

std::string unhex(std::string_view hex) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes.push_back(static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  }
  return bytes;
}

void compare(const std::string& path) {
  std::ifstream in(path);
  std::stringstream contents;
  contents << in.rdbuf();
  const json::value cases = json::parse(contents.str());
  ASSERT_FALSE(cases.as_array().empty());
  for (const json::value& value : cases.as_array()) {
    const json::object& one = value.as_object();
    const auto lark = gbnf_to_lark(std::string_view(one.at("grammar").as_string()));
    ASSERT_TRUE(lark.ok()) << one.at("name") << lark.error().message;
    const GrammarJudge judge(*lark);
    ASSERT_TRUE(judge.compiled()) << one.at("name") << judge.problem() << "\n" << *lark;
    for (const json::value& text : one.at("texts").as_array()) {
      const std::string bytes = unhex(text.at("hex").as_string());
      EXPECT_EQ(judge.admits(bytes), text.at("admitted").as_bool())
          << one.at("name") << " \"" << bytes << "\"\n"
          << *lark;
    }
  }
}

TEST(Gbnf, AdmitsWhatLlamaCppAdmits) {
  KVASIR_REQUIRE_MODEL(text::qwen());
  compare("tests/chat/golden/gbnf.json");
  if (const char* other = std::getenv("KVASIR_GBNF_GOLDEN")) compare(other);
}

// "xandy" is one name, or two and a word between: every character of every name could end it.
TEST(Gbnf, WhatIsAmbiguousAtEveryCharacterIsRefusedNotMisread) {
  KVASIR_REQUIRE_MODEL(text::qwen());
  const auto lark = gbnf_to_lark(
      "root ::= term (\"and\" term)* \".\"\nterm ::= name \"(\" name? \")\" | \"(\" root \")\" | name\n"
      "name ::= [a-z] [a-z0-9]* [0-9]*");
  ASSERT_TRUE(lark.ok());
  const GrammarJudge judge(*lark);
  if (judge.compiled()) {
    EXPECT_TRUE(judge.admits("xandy."));
  } else {
    EXPECT_NE(judge.problem().find("costs too much"), std::string::npos) << judge.problem();
  }
}

TEST(Gbnf, LeftRecursionIsALoop) {
  KVASIR_REQUIRE_MODEL(text::qwen());
  const auto lark = gbnf_to_lark("root ::= root \",\" item | item\nitem ::= [0-9]+ | \"(\" root \")\"");
  ASSERT_TRUE(lark.ok());
  const GrammarJudge judge(*lark);
  EXPECT_TRUE(judge.admits("1,23,(4,5)"));
  EXPECT_FALSE(judge.admits("1,,2"));
}

TEST(Gbnf, IsToldApartFromLark) {
  EXPECT_TRUE(is_gbnf("# comment\n\nroot ::= \"a: b\""));
  EXPECT_TRUE(is_gbnf("a-rule\t::=\n \"x\""));
  EXPECT_FALSE(is_gbnf("start: \"::=\""));
  EXPECT_FALSE(is_gbnf("// root ::= x\n?start: item\n"));
  EXPECT_FALSE(is_gbnf("%import common.INT\nstart: INT"));
  EXPECT_FALSE(is_gbnf("list::_: \"\""));
  EXPECT_FALSE(is_gbnf(""));
}

TEST(Gbnf, MistakesAreNamedWithTheirPlace) {
  struct Case {
    std::string grammar, expected;
  };
  const std::vector<Case> cases{
      {"", "line 1, column 1: there is no rule \"root\""},
      {"item ::= \"a\"", "there is no rule \"root\""},
      {"root ::= \"a\"\n  item", "line 2, column 7: \"::=\" is expected"},
      {"root ::= \"a\" |\n  item \"b\"", "line 2, column 3: the rule \"item\" is not defined"},
      {"root ::= \"a", "line 1, column 10: this string is not closed"},
      {"root ::= [a-", "line 1, column 10: this character class is not closed"},
      {"root ::= [z-a]", "ends before it begins"},
      {"root ::= []", "has no characters"},
      {"root ::= (\"a\"\n\n", "line 1, column 10: this \"(\" is not closed"},
      {"root ::= \"a\" )", "line 1, column 14: the rule should end here"},
      {"root ::= * \"a\"", "nothing stands here that could be repeated"},
      {"root ::= \"a\"{3,2}", "upper bound is below"},
      {"root ::= \"a\"{3", "\"}\" is expected"},
      {"root ::= \"a\"{99999}", "more than 2000 repetitions"},
      {"root ::= \"\\q\"", "this escape is not known"},
      {"root ::= \"\\u12\"", "needs 4 hexadecimal digits"},
      {"root ::= \"\\UFFFFFFFF\"", "no Unicode character"},
      {"root ::= <think>", "references to tokens"},
      {"root = \"a\"", "\"::=\" is expected"},
      {"root ::= " + std::string(300, '('), "nested more than 200 deep"},
  };
  for (const Case& one : cases) {
    const auto parsed = parse_gbnf(one.grammar);
    ASSERT_FALSE(parsed.ok()) << one.grammar;
    EXPECT_NE(parsed.error().message.find(one.expected), std::string::npos) << one.grammar << "\n"
                                                                            << parsed.error().message;
  }
}

TEST(Gbnf, WhatNoTextSatisfiesIsRefused) {
  KVASIR_REQUIRE_MODEL(text::qwen());
  for (const char* grammar : {"root ::= root", "root ::= \"a\" root", "root ::= \"(\" root \")\""}) {
    const auto lark = gbnf_to_lark(grammar);
    ASSERT_FALSE(lark.ok()) << grammar;
    EXPECT_NE(lark.error().message.find("without an end"), std::string::npos);
  }
}

TEST(Gbnf, AnAlternativeMayBeginTheNextLine) {
  const auto parsed = parse_gbnf("root ::= \"a\"\n  | item # or so\n\n  | \"c\"\nitem ::= \"b\"");
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  EXPECT_EQ(parsed->rules[parsed->root].parts.size(), 3u);
}

// Each rule doubles the one before; written out that is 2^40 characters. Hostile grammars cost a bounded
// time.
TEST(Gbnf, DoublingRulesAreRefusedAtOnce) {
  KVASIR_REQUIRE_MODEL(text::qwen());
  std::string rules;
  for (int i = 0; i < 40; ++i) {
    const std::string next = "a" + std::to_string(i + 1);
    rules += "a" + std::to_string(i) + " ::= " + next + " " + next + "\n";
  }
  rules += "a40 ::= [a-z]\n";
  EXPECT_FALSE(gbnf_to_lark("root ::= a0 | \"(\" root \")\"\n" + rules).ok());
  const auto regular = gbnf_to_lark("root ::= a0\n" + rules);
  ASSERT_TRUE(regular.ok());
  EXPECT_LT(regular->size(), 10'000u);
  EXPECT_FALSE(GrammarJudge(*regular).admits("abc"));
}

}  // namespace
}  // namespace kvasir::chat
