// Structural tags through the real grammar engine and a real tokenizer.

#include "api/structural_tag.h"

#include <gtest/gtest.h>

#include "chat/grammar_judge.h"

namespace kvasir::api {
namespace {

namespace json = boost::json;

struct Case {
  std::string tag;
  std::vector<std::string> admitted, refused;
};

void check(const Case& one) {
  const json::value value = json::parse(one.tag);
  const std::string grammar = structural_tag_grammar(Fields(value, "tag"));
  const chat::GrammarJudge judge(grammar);
  ASSERT_TRUE(judge.compiled()) << judge.problem() << grammar;
  for (const std::string& text : one.admitted) EXPECT_TRUE(judge.admits(text)) << text << "\n" << grammar;
  for (const std::string& text : one.refused) EXPECT_FALSE(judge.admits(text)) << text << "\n" << grammar;
}

const std::string kNumber = R"({"type":"object","properties":{"n":{"type":"integer"}},"required":["n"]})";

TEST(StructuralTag, OldFormIsFreeUntilATrigger) {
  KVASIR_REQUIRE_MODEL(text::qwen());
  check({R"({"type":"structural_tag","triggers":["<fun"],"structures":[
             {"begin":"<fun=a>","schema":)" +
             kNumber + R"(,"end":"</fun>"},
             {"begin":"<fun=b>","schema":{"type":"boolean"},"end":"</fun>"}]})",
         {"", "Free < text", "So: <fun=a>{\"n\": 1}</fun> and <fun=b>true</fun> done", "<fun=b>false</fun>"},
         {"<fun=c>", "<fun", "<fun=a>{}</fun>", "<fun=b>true"}});
}

TEST(StructuralTag, TriggeredTagsCountTheirTags) {
  KVASIR_REQUIRE_MODEL(text::qwen());
  const std::string tags =
      R"("triggers":["[a","[b"],"tags":[{"begin":"[a]","content":{"type":"regex","pattern":"[a-z]+"},"end":"z]"},
      {"begin":"[b]","content":{"type":"any_text"},"end":"[/b]"}])";
  check({R"({"format":{"type":"triggered_tags",)" + tags + "}}",
         {"x", "x [a]qzz] y [b]any [a thing[/b]", "[a]zz]"},
         {"[a]1z]", "[b]open"}});
  check({R"({"format":{"type":"triggered_tags","at_least_one":true,"stop_after_first":true,)" + tags + "}}",
         {"[a]qz]", "[b][/b]"},
         {"", "x", "[a]qz] y"}});
}

TEST(StructuralTag, PartsInSequence) {
  KVASIR_REQUIRE_MODEL(text::qwen());
  check({R"({"format":{"type":"sequence","elements":[
             {"type":"const_string","value":"<think>"},{"type":"any_text"},{"type":"const_string","value":"</think>"},
             {"type":"or","elements":[{"type":"json_schema","json_schema":)" +
             kNumber + R"(},
               {"type":"regex","pattern":"no+"},{"type":"grammar","grammar":"root ::= [(] root? [)]"}]}]}})",
         {"<think>a < b</think>nooo", "<think></think>(())", "<think>\n</think>{\"n\": 3}"},
         {"<think>a", "nooo", "<think></think>yes"}});
  check({R"({"format":{"type":"sequence","elements":[{"type":"any_text"},
             {"type":"tag","begin":"<n>","content":{"type":"json_schema","json_schema":{"type":"integer"}},"end":"</n>"},
             {"type":"any_text"}]}})",
         {"So < <n>4</n>", "<n>4</n> legs <n>"},
         {"So", "<n>x</n>"}});
  check({R"({"format":{"type":"tags_with_separator","separator":",","at_least_one":true,"tags":[
             {"begin":"<","content":{"type":"regex","pattern":"[0-9>]+"},"end":">"}]}})",
         {"<1>", "<1>,<2>>"},
         {"", "<1>,", "<>"}});
  check(
      {R"x({"format":{"type":"star","content":{"type":"tag","begin":"(","content":{"type":"optional","content":
             {"type":"const_string","value":"x"}},"end":")"}}})x",
       {"", "()", "(x)()"},
       {"(", "(xx)"}});
}

}  // namespace
}  // namespace kvasir::api
