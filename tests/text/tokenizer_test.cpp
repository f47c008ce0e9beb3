#include "text/tokenizer.h"

#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>

#include "text/models.h"

namespace kvasir::text {
namespace {

TEST(Tokenizer, QwenSpecialTokensAreParsedOrText) {
  KVASIR_REQUIRE_MODEL(qwen());
  const Tokenizer& t = *qwen().tokenizer;
  const std::string text = "<|im_start|>user\nHello<|im_end|>\n";
  EXPECT_EQ(t.encode(text, SpecialText::kParse), (std::vector<TokenId>{151644, 872, 198, 9707, 151645, 198}));
  const std::vector<TokenId> as_text = t.encode(text, SpecialText::kAsText);
  for (const TokenId id : as_text) EXPECT_FALSE(t.is_special(id));
  EXPECT_EQ(t.decode(as_text, true), text);
  EXPECT_EQ(t.decode(t.encode(text, SpecialText::kParse), true), "user\nHello\n");
}

TEST(Tokenizer, QwenRoles) {
  KVASIR_REQUIRE_MODEL(qwen());
  const Tokenizer& t = *qwen().tokenizer;
  EXPECT_EQ(t.vocab_size(), 151936u);
  EXPECT_EQ(t.find("<|im_end|>"), 151645);
  EXPECT_EQ(t.find("<tool_call>"), 151657);
  EXPECT_EQ(t.find("hello"), kNoToken);
  EXPECT_FALSE(t.is_special(151657));
  EXPECT_FALSE(t.adds_bos());
  EXPECT_EQ(t.eos(), 151645);
  EXPECT_EQ(std::vector<TokenId>(t.end_tokens().begin(), t.end_tokens().end()),
            (std::vector<TokenId>{151645, 151643}));
  EXPECT_EQ(t.bytes(-1), "");
  EXPECT_EQ(t.bytes(151936), "");
}

// The order is the model's own: github.com/QwenLM/Qwen2.5-Coder, "Fill in the middle".
TEST(Tokenizer, QwenCoderFillsGaps) {
  KVASIR_REQUIRE_MODEL(qwen());
  const auto& gap = qwen().tokenizer->fill_middle();
  ASSERT_TRUE(gap.has_value());
  EXPECT_EQ(gap->prompt(std::vector<TokenId>{1, 2}, std::vector<TokenId>{3}),
            (std::vector<TokenId>{151659, 1, 2, 151661, 3, 151660}));
  for (const TokenId end : {151662, 151663, 151664}) {  // padding, the next repository, the next file
    EXPECT_NE(std::find(gap->ends.begin(), gap->ends.end(), end), gap->ends.end());
  }
}

TEST(Tokenizer, SmolHasNoTokensForGaps) {
  KVASIR_REQUIRE_MODEL(smol());
  EXPECT_FALSE(smol().tokenizer->fill_middle().has_value());
}

TEST(FillMiddle, WithoutAMiddleTheGapFollowsThePrefix) {
  FillMiddle gap;
  gap.prefix = 10;
  gap.suffix = 11;
  EXPECT_EQ(gap.prompt(std::vector<TokenId>{1}, std::vector<TokenId>{2, 3}),
            (std::vector<TokenId>{11, 2, 3, 10, 1}));
}

// Random text over many scripts, all in NFC (Qwen's tokenizer normalises).
std::string random_text(unsigned seed) {
  static const std::string kPieces[] = {
      "a",  "Z",  "9",      " ",      "  ",         "\n",          "\r\n",
      "\t", "'s", "{\"",    "_",      "é",          "ß",           "Ж",
      "ע",  "ق",  "天",     "あ",     "한",         "🙂",          "👩‍👩‍👧",
      "𝔘",  "½",  "\u2028", "\u00a0", "<|im_end|>", "<tool_call>", "<|"};
  std::mt19937 random(seed);
  std::string text;
  for (unsigned i = random() % 40; i > 0; --i) {
    const std::string& piece = kPieces[random() % std::size(kPieces)];
    for (unsigned n = random() % 3; n > 0; --n) text += piece;
  }
  return text;
}

TEST(Tokenizer, DecodeGivesBackWhatWasEncoded) {
  for (const Model* model : {&qwen(), &smol()}) {
    KVASIR_REQUIRE_MODEL(*model);
    const Tokenizer& t = *model->tokenizer;
    for (unsigned seed = 0; seed < 1500; ++seed) {
      const std::string text = random_text(seed);
      EXPECT_EQ(t.decode(t.encode(text, SpecialText::kParse), false), text) << "seed " << seed;
      EXPECT_EQ(t.decode(t.encode(text, SpecialText::kAsText), true), text) << "seed " << seed;
    }
  }
}

TEST(Tokenizer, EveryAddedTokenIsRecognisedByItsText) {
  for (const Model* model : {&qwen(), &smol()}) {
    KVASIR_REQUIRE_MODEL(*model);
    const Tokenizer& t = *model->tokenizer;
    std::size_t specials = 0;
    for (TokenId id = 0; id < static_cast<TokenId>(t.vocab_size()); ++id) {
      if (!t.is_special(id)) continue;
      ++specials;
      EXPECT_EQ(t.encode(t.bytes(id), SpecialText::kParse), std::vector<TokenId>{id});
      EXPECT_EQ(t.find(t.bytes(id)), id);
    }
    EXPECT_GE(specials, 17u);
  }
}

TEST(Tokenizer, SmolEndTokens) {
  KVASIR_REQUIRE_MODEL(smol());
  EXPECT_EQ(smol().tokenizer->eos(), 2);
  EXPECT_EQ(smol().tokenizer->bos(), 1);
  EXPECT_EQ(smol().tokenizer->end_tokens().size(), 2u);  // <|im_end|>, <|endoftext|>
}

TEST(Tokenizer, ManyThreadsGetTheSameTokens) {
  KVASIR_REQUIRE_MODEL(qwen());
  const Tokenizer& t = *qwen().tokenizer;
  std::vector<std::vector<TokenId>> expected;
  for (unsigned seed = 0; seed < 64; ++seed)
    expected.push_back(t.encode(random_text(seed), SpecialText::kParse));
  std::vector<std::thread> threads;
  std::atomic<int> differences = 0;
  for (unsigned n = 0; n < 4; ++n) {
    threads.emplace_back([&] {
      for (unsigned seed = 0; seed < 64; ++seed) {
        if (t.encode(random_text(seed), SpecialText::kParse) != expected[seed]) ++differences;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(differences, 0);
}

constexpr std::string_view kTokenizerJson = R"({"version": "1.0", "truncation": null, "padding": null,
 "added_tokens": [
  {"id": 5, "content": "<|im_end|>", "special": true, "normalized": false, "lstrip": false, "rstrip": false, "single_word": false},
  {"id": 6, "content": "<t>", "special": false, "normalized": false, "lstrip": false, "rstrip": RSTRIP, "single_word": false}],
 "normalizer": null,
 "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
 "post_processor": null, "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
 "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null, "end_of_word_suffix": null,
  "fuse_unk": false, "byte_fallback": false, "vocab": {"a": 0, "b": 1, "ab": 2, "Ġ": 3, "Ġab": 4}, "merges": ["a b", "Ġ ab"]}})";

TEST(Tokenizer, FromTokenizerJson) {
  for (const std::string_view strips : {"false", "true"}) {
    std::string json(kTokenizerJson);
    json.replace(json.find("RSTRIP"), 6, strips);
    auto loaded = Tokenizer::from_tokenizer_json(json);
    ASSERT_TRUE(loaded.ok()) << loaded.error().message;
    const Tokenizer& t = **loaded;
    EXPECT_EQ(t.vocab_size(), 7u);
    EXPECT_EQ(t.encode("ab ab<|im_end|>", SpecialText::kParse), (std::vector<TokenId>{2, 4, 5}));
    // A token that strips on its right takes the spaces behind it.
    const std::vector<TokenId> kept = {6, 4};
    const std::vector<TokenId> stripped = {6, 2};
    EXPECT_EQ(t.encode("<t> ab", SpecialText::kParse), strips == "true" ? stripped : kept);
    EXPECT_EQ(t.encode("<t> ab", SpecialText::kAsText), strips == "true" ? stripped : kept);
    EXPECT_EQ(t.encode("b<|im_end|>", SpecialText::kAsText), std::vector<TokenId>{1});
    EXPECT_EQ(t.bytes(4), " ab");
    EXPECT_EQ(t.eos(), 5);
    EXPECT_TRUE(t.is_special(5));
    EXPECT_FALSE(t.is_special(6));
    EXPECT_FALSE(t.adds_bos());
  }
}

TEST(Tokenizer, VocabularyThatCannotTakeEveryTextIsRefused) {
  std::string json(kTokenizerJson);
  json.replace(json.find("RSTRIP"), 6, "false");
  const std::string_view from = "\"unk_token\": null";
  json.replace(json.find(from), from.size(), "\"unk_token\": \"nowhere\"");
  auto loaded = Tokenizer::from_tokenizer_json(json);
  ASSERT_FALSE(loaded.ok());
  EXPECT_EQ(loaded.error().code, ErrorCode::kCorruptData);
}

TEST(Tokenizer, BadTokenizerJsonIsCorruptData) {
  for (const std::string_view json : {"", "[]", "{}", "{\"model\": 3}", "\xFF", "nul"}) {
    auto loaded = Tokenizer::from_tokenizer_json(json);
    ASSERT_FALSE(loaded.ok()) << json;
    EXPECT_EQ(loaded.error().code, ErrorCode::kCorruptData) << loaded.error().message;
  }
}

}  // namespace
}  // namespace kvasir::text
