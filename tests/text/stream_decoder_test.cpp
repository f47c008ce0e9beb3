// Any way of cutting a byte stream into tokens gives the same text, and never half a character.

#include <gtest/gtest.h>

#include <random>

#include "text/models.h"
#include "text/tokenizer.h"

namespace kvasir::text {
namespace {

// Decodes a whole string; correct by the other test below, which compares with fixed results.
std::string decode_whole(std::string_view bytes) {
  StreamDecoder decoder;
  std::string out = decoder.feed(bytes);
  return out + decoder.finish();
}

bool is_whole_utf8(std::string_view text) {
  StreamDecoder decoder;
  const std::string out = decoder.feed(text);
  return out == text && decoder.finish().empty();
}

TEST(StreamDecoder, InvalidBytesBecomeReplacementCharactersAsInPython) {
  const std::string r = "\xEF\xBF\xBD";
  // Right sides: bytes.decode("utf-8", "replace") of CPython 3.11.
  EXPECT_EQ(decode_whole("abc"), "abc");
  EXPECT_EQ(decode_whole("\xFF"), r);
  EXPECT_EQ(decode_whole("a\xC3"), "a" + r);
  EXPECT_EQ(decode_whole("\xC3("), r + "(");
  EXPECT_EQ(decode_whole("\xE2\x82"), r);
  EXPECT_EQ(decode_whole("\xE2\x82x"), r + "x");
  EXPECT_EQ(decode_whole("\xF0\x9F\x99"), r);
  EXPECT_EQ(decode_whole("\xED\xA0\x80"), r + r + r);
  EXPECT_EQ(decode_whole("\xC0\xAF"), r + r);
  EXPECT_EQ(decode_whole("\xF4\x90\x80\x80"), r + r + r + r);
  EXPECT_EQ(decode_whole("\xE0\x80x"), r + r + "x");
}

TEST(StreamDecoder, AnySplitGivesTheWholeTextInWholeCharacters) {
  const std::string pool[] = {"a",    " ",        "é",        "天",   "🙂",      "\xFF",
                              "\xC3", "\xE2\x82", "\xF0\x9F", "\x80", "\xED\xA0"};
  for (unsigned seed = 0; seed < 2000; ++seed) {
    std::mt19937 random(seed);
    std::string bytes;
    for (unsigned i = random() % 12; i > 0; --i) bytes += pool[random() % std::size(pool)];
    StreamDecoder decoder;
    std::string out;
    for (std::size_t at = 0; at < bytes.size();) {
      const std::size_t size = random() % 4;
      const std::string piece = decoder.feed(std::string_view(bytes).substr(at, size));
      EXPECT_TRUE(is_whole_utf8(piece)) << "seed " << seed;
      out += piece;
      at += size;
    }
    out += decoder.finish();
    EXPECT_EQ(out, decode_whole(bytes)) << "seed " << seed;
  }
}

TEST(StreamDecoder, ValidTextIsHeldBackForOneCharacterOnly) {
  StreamDecoder decoder;
  EXPECT_EQ(decoder.feed("x\xF0"), "x");
  EXPECT_EQ(decoder.feed("\x9F\x99"), "");
  EXPECT_EQ(decoder.feed("\x82y"), "🙂y");
  EXPECT_EQ(decoder.finish(), "");
}

TEST(StreamDecoder, TokensOfARealVocabulary) {
  KVASIR_REQUIRE_MODEL(qwen());
  const Tokenizer& t = *qwen().tokenizer;
  const std::string text = "naïve 🙂👩‍👩‍👧‍👦 天气 𝔘𝔫𝔦 ᏣᎳᎩ ﷽";
  StreamDecoder decoder;
  std::string out;
  for (const TokenId id : t.encode(text, SpecialText::kAsText)) out += decoder.feed(t.bytes(id));
  EXPECT_EQ(out + decoder.finish(), text);
}

}  // namespace
}  // namespace kvasir::text
