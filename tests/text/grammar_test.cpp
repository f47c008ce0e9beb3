#include "text/grammar.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <random>

#include "text/models.h"

namespace kvasir::text {
namespace {

std::shared_ptr<GrammarFactory> factory() {
  static const std::shared_ptr<GrammarFactory> made = [] {
    auto created = GrammarFactory::create(qwen().tokenizer);
    return created.ok() ? *created : nullptr;
  }();
  return made;
}

const Tokenizer& tokenizer() {
  return *qwen().tokenizer;
}

bool allows(std::span<const std::uint32_t> mask, TokenId id) {
  return (mask[static_cast<std::size_t>(id) / 32] >> (id % 32) & 1) != 0;
}

std::vector<TokenId> allowed(std::span<const std::uint32_t> mask) {
  std::vector<TokenId> ids;
  for (std::size_t word = 0; word < mask.size(); ++word) {
    for (int bit = 0; bit < 32; ++bit) {
      if ((mask[word] >> bit & 1) != 0) ids.push_back(static_cast<TokenId>(word * 32) + bit);
    }
  }
  return ids;
}

// Feeds `ids`; false at the first one that the mask forbids. Checks that mask and accept agree.
bool takes(GrammarMatcher& matcher, const std::vector<TokenId>& ids) {
  for (const TokenId id : ids) {
    auto mask = matcher.mask();
    if (!mask.ok()) return false;
    const bool in_mask = allows(*mask, id);
    EXPECT_EQ(matcher.accept(id).ok(), in_mask) << "token " << id << " '" << tokenizer().bytes(id) << "'";
    if (!in_mask) return false;
  }
  return true;
}

class Grammar : public testing::Test {
 protected:
  void SetUp() override {
    KVASIR_REQUIRE_MODEL(qwen());
    ASSERT_NE(factory(), nullptr);
  }
  std::unique_ptr<GrammarMatcher> lark(std::string_view source) {
    auto compiled = factory()->compile_lark(source);
    EXPECT_TRUE(compiled.ok()) << (compiled.ok() ? "" : compiled.error().message);
    return compiled.ok() ? *std::move(compiled) : nullptr;
  }
  std::unique_ptr<GrammarMatcher> schema(std::string_view source) {
    auto compiled = factory()->compile_json_schema(source);
    EXPECT_TRUE(compiled.ok()) << (compiled.ok() ? "" : compiled.error().message);
    return compiled.ok() ? *std::move(compiled) : nullptr;
  }
  std::vector<TokenId> tokens(std::string_view text, SpecialText special = SpecialText::kAsText) {
    return tokenizer().encode(text, special);
  }
};

TEST_F(Grammar, MaskHasOneBitATokenAndEndTokensWhenComplete) {
  auto matcher = lark("start: \"yes\" | \"no\"");
  auto mask = matcher->mask();
  ASSERT_TRUE(mask.ok());
  EXPECT_EQ(mask->size(), (tokenizer().vocab_size() + 31) / 32);
  for (const TokenId end : tokenizer().end_tokens()) EXPECT_FALSE(allows(*mask, end));
  EXPECT_FALSE(matcher->is_accepting());
  EXPECT_FALSE(matcher->is_stopped());
  ASSERT_TRUE(takes(*matcher, tokens("yes")));
  EXPECT_TRUE(matcher->is_accepting());
  EXPECT_TRUE(matcher->is_stopped());
  mask = matcher->mask();
  ASSERT_TRUE(mask.ok());
  EXPECT_EQ(allowed(*mask).size(), tokenizer().end_tokens().size());
  for (const TokenId end : tokenizer().end_tokens()) EXPECT_TRUE(allows(*mask, end));
}

TEST_F(Grammar, EndTokenIsAcceptedWhereTheTextMayGoOn) {
  for (const TokenId end : tokenizer().end_tokens()) {
    auto matcher = lark("start: /[a-z]+/");
    ASSERT_TRUE(takes(*matcher, tokens("hello")));
    EXPECT_TRUE(matcher->is_accepting());
    EXPECT_FALSE(matcher->is_stopped());
    EXPECT_TRUE(takes(*matcher, {end}));
    EXPECT_TRUE(matcher->is_stopped());
  }
}

TEST_F(Grammar, RefusedTokenLeavesTheStateAsItWas) {
  auto matcher = lark("start: \"abc\"");
  const Status refused = matcher->accept(tokens("x")[0]);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kInternal);
  EXPECT_FALSE(matcher->accept(kNoToken).ok());
  EXPECT_FALSE(matcher->accept(static_cast<TokenId>(tokenizer().vocab_size())).ok());
  EXPECT_TRUE(takes(*matcher, tokens("abc")));
}

TEST_F(Grammar, AddedTextTokenComesWholeOrInPieces) {
  const std::string_view source = "start: \"<tool_call>\\n\" /[a-z]+/ \"\\n</tool_call>\"";
  EXPECT_TRUE(takes(*lark(source), tokens("<tool_call>\nabc\n</tool_call>", SpecialText::kParse)));
  std::vector<TokenId> pieces;
  for (const char c : std::string_view("<tool_call>\nabc\n</tool_call>")) {
    pieces.push_back(tokens(std::string_view(&c, 1))[0]);
  }
  auto matcher = lark(source);
  EXPECT_TRUE(takes(*matcher, pieces));
  EXPECT_TRUE(matcher->is_accepting());
}

TEST_F(Grammar, ControlTokenIsNamedAndNeverSpelled) {
  auto named = lark("start: <|im_start|> \"x\"");
  EXPECT_TRUE(takes(*named, tokens("<|im_start|>x", SpecialText::kParse)));
  EXPECT_FALSE(takes(*lark("start: <|im_start|> \"x\""), tokens("<|im_start|>x", SpecialText::kAsText)));
  EXPECT_FALSE(takes(*lark("start: \"<|im_start|>x\""), tokens("<|im_start|>x", SpecialText::kParse)));
  EXPECT_TRUE(takes(*lark("start: \"<|im_start|>x\""), tokens("<|im_start|>x", SpecialText::kAsText)));
  EXPECT_TRUE(takes(*lark("start: <[151657]> \"x\""), {151657, tokens("x")[0]}));
}

TEST_F(Grammar, InlineJsonSchemaInLark) {
  auto matcher = lark(R"(start: "<tool_call>\n" call "\n</tool_call>"
call: %json {"type":"object","properties":{"name":{"const":"f"},"arguments":{"type":"object","properties":{"x":{"type":"integer"}},"required":["x"],"additionalProperties":false}},"required":["name","arguments"],"additionalProperties":false})");
  ASSERT_NE(matcher, nullptr);
  EXPECT_TRUE(
      takes(*matcher, tokens("<tool_call>\n{\"name\": \"f\", \"arguments\": {\"x\": 12}}\n</tool_call>",
                             SpecialText::kParse)));
  EXPECT_TRUE(matcher->is_accepting());
}

TEST_F(Grammar, CloneGoesItsOwnWay) {
  auto matcher = lark("start: \"a\" (\"b\" | \"c\") \"d\"");
  ASSERT_TRUE(takes(*matcher, tokens("a")));
  auto copy = matcher->clone();
  ASSERT_NE(copy, nullptr);
  EXPECT_TRUE(takes(*matcher, {tokens("b")[0], tokens("d")[0]}));
  EXPECT_FALSE(copy->is_accepting());
  EXPECT_TRUE(takes(*copy, {tokens("c")[0], tokens("d")[0]}));
  EXPECT_TRUE(copy->is_accepting());
}

TEST_F(Grammar, SchemaTakesCompactAndSpacedJson) {
  const std::string_view source =
      R"({"type":"object","properties":{"a":{"type":"array","items":{"type":"integer"}}},"required":["a"],"additionalProperties":false})";
  for (const std::string_view text :
       {R"({"a":[1,2]})", R"({"a": [1, 2]})", "{\n  \"a\": [\n    1,\n    2\n  ]\n}"}) {
    auto matcher = schema(source);
    EXPECT_TRUE(takes(*matcher, tokens(text))) << text;
    EXPECT_TRUE(matcher->is_accepting()) << text;
  }
  EXPECT_FALSE(takes(*schema(source), tokens(R"({"b":1})")));
}

TEST_F(Grammar, BadGrammarsAreTheCallersError) {
  auto bad_lark = factory()->compile_lark("start: nowhere");
  ASSERT_FALSE(bad_lark.ok());
  EXPECT_EQ(bad_lark.error().code, ErrorCode::kInvalidArgument);
  for (const std::string_view source :
       {"{", "{\"type\":\"nonsense\"}", "{\"$ref\":\"#/nowhere\"}", "{\"$ref\":\"#\"}", "5", "\xFF"}) {
    auto bad = factory()->compile_json_schema(source);
    ASSERT_FALSE(bad.ok()) << source;
    EXPECT_EQ(bad.error().code, ErrorCode::kInvalidArgument);
    EXPECT_FALSE(bad.error().message.empty());
    EXPECT_LE(bad.error().message.size(), 1000u);
    EXPECT_EQ(bad.error().message.find("<state>"), std::string::npos) << bad.error().message;
  }
}

// Walks at random through the masks, with a liking for short endings, until the grammar stops.
std::string random_walk(GrammarMatcher& matcher, unsigned seed) {
  std::mt19937 random(seed);
  std::string text;
  for (int step = 0; step < 400; ++step) {
    auto mask = matcher.mask();
    if (!mask.ok()) {
      ADD_FAILURE() << mask.error().message;
      return text;
    }
    std::vector<TokenId> ids = allowed(*mask);
    EXPECT_FALSE(ids.empty()) << "dead end after " << text;
    if (ids.empty()) return text;
    TokenId choice = ids[random() % ids.size()];
    if (step > 20) {
      // Close strings and brackets where that is allowed.
      for (const std::string_view close : {"\"", "}", "]", ",", ":"}) {
        const TokenId id = tokenizer().encode(close, SpecialText::kAsText)[0];
        if (allows(*mask, id)) {
          choice = id;
          break;
        }
      }
    }
    EXPECT_TRUE(matcher.accept(choice).ok());
    if (tokenizer().is_special(choice)) return text;
    text += tokenizer().bytes(choice);
    if (matcher.is_stopped()) return text;
  }
  ADD_FAILURE() << "no end after " << text;
  return text;
}

TEST_F(Grammar, EveryRandomWalkEndsInValidJson) {
  const std::string_view source =
      R"({"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer","minimum":0},"tags":{"type":"array","items":{"enum":["x","yy"]},"maxItems":3},"ok":{"type":"boolean"}},"required":["name","age","tags","ok"],"additionalProperties":false})";
  for (unsigned seed = 0; seed < 60; ++seed) {
    auto matcher = schema(source);
    const std::string text = random_walk(*matcher, seed);
    boost::system::error_code error;
    const boost::json::value value = boost::json::parse(text, error);
    ASSERT_FALSE(error) << "seed " << seed << ": " << text;
    const auto& object = value.as_object();
    ASSERT_EQ(object.size(), 4u) << text;
    EXPECT_TRUE(object.at("name").is_string());
    EXPECT_TRUE(object.at("age").is_number()) << text;
    EXPECT_TRUE(object.at("ok").is_bool());
    EXPECT_LE(object.at("tags").as_array().size(), 3u);
    for (const auto& tag : object.at("tags").as_array()) EXPECT_TRUE(tag == "x" || tag == "yy");
  }
}

TEST_F(Grammar, MaskAndAcceptAgreeOnEveryToken) {
  auto matcher =
      schema(R"({"type":"object","properties":{"k":{"type":"string","maxLength":8}},"required":["k"]})");
  ASSERT_TRUE(takes(*matcher, tokens("{\"k\": \"a")));
  auto mask = matcher->mask();
  ASSERT_TRUE(mask.ok());
  const std::vector<std::uint32_t> bits(mask->begin(), mask->end());
  for (TokenId id = 0; id < static_cast<TokenId>(tokenizer().vocab_size()); id += 37) {
    EXPECT_EQ(matcher->clone()->accept(id).ok(), allows(bits, id)) << id;
  }
}

TEST_F(Grammar, WhatMustComeIsTakenAtOnceAsTheTokenizerCutsIt) {
  const auto matcher =
      lark("start: \"<tool_call>\\n{\\\"name\\\": \\\"\" (\"read_file\" | \"write_file\") \"\\\"}\"");
  ASSERT_NE(matcher, nullptr);
  const std::string opening = "<tool_call>\n{\"name\": \"";
  EXPECT_EQ(matcher->take_forced(100), tokenizer().encode(opening, SpecialText::kAsText));
  EXPECT_TRUE(matcher->take_forced(100).empty()) << "there is a choice now";
  ASSERT_TRUE(matcher->accept(tokenizer().encode("write", SpecialText::kAsText).front()).ok());
  const auto rest = matcher->take_forced(100);
  EXPECT_EQ(tokenizer().decode(rest, false), "_file\"}");
  EXPECT_TRUE(matcher->is_accepting());
}

TEST_F(Grammar, ForcedTextStopsWhereATokenMayRunOn) {
  // "foo" is one token, but so is "food": after "fo", the tokenizer would cut what comes in either way.
  const auto matcher = lark("start: \"x = foo\" /[a-z]*/");
  ASSERT_NE(matcher, nullptr);
  const auto taken = matcher->take_forced(100);
  EXPECT_EQ(tokenizer().decode(taken, false), "x =");
  EXPECT_TRUE(takes(*matcher, tokenizer().encode(" food", SpecialText::kAsText)));
}

TEST_F(Grammar, AtMostSoManyTokensAreTaken) {
  const auto matcher = lark("start: \"one two three four five\"");
  ASSERT_NE(matcher, nullptr);
  EXPECT_EQ(matcher->take_forced(2).size(), 2U);
  EXPECT_EQ(tokenizer().decode(matcher->take_forced(100), false), " three four five");
}

}  // namespace
}  // namespace kvasir::text
