// Vocabularies that lie: every one must be an Error, never a crash. And small ones made by hand, whose tokens
// can be worked out on paper.

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <limits>
#include <random>

#include "text/models.h"
#include "text/tokenizer.h"
#include "weights/gguf.h"

namespace kvasir::text {
namespace {

// Writes GGUF metadata; just enough for a vocabulary.
class GgufWriter {
 public:
  GgufWriter& string(std::string_view key, std::string_view value) {
    begin(key, 8);
    text(value);
    return *this;
  }
  GgufWriter& u32(std::string_view key, std::uint32_t value) {
    begin(key, 4);
    put(value);
    return *this;
  }
  GgufWriter& boolean(std::string_view key, bool value) {
    begin(key, 7);
    put(static_cast<std::uint8_t>(value ? 1 : 0));
    return *this;
  }
  GgufWriter& strings(std::string_view key, const std::vector<std::string>& values) {
    array(key, 8, values.size());
    for (const std::string& v : values) text(v);
    return *this;
  }
  template <class T>
  GgufWriter& numbers(std::string_view key, std::uint32_t type, const std::vector<T>& values) {
    array(key, type, values.size());
    for (const T v : values) put(v);
    return *this;
  }
  GgufWriter& i32s(std::string_view key, const std::vector<std::int32_t>& values) {
    return numbers(key, 5, values);
  }
  GgufWriter& f32s(std::string_view key, const std::vector<float>& values) { return numbers(key, 6, values); }

  Result<std::shared_ptr<const Tokenizer>> load() {
    std::string file;
    file.swap(body_);
    put(std::uint32_t{0x46554747});
    put(std::uint32_t{3});
    put(std::uint64_t{0});
    put(std::uint64_t{count_});
    file.insert(0, body_);
    bytes_ = file;
    auto parsed = weights::GgufFile::parse(std::as_bytes(std::span(bytes_)), "made.gguf");
    if (!parsed.ok()) return parsed.error();
    return Tokenizer::from_checkpoint(**parsed);
  }

 private:
  template <class T>
  void put(T value) {
    char raw[sizeof value];
    std::memcpy(raw, &value, sizeof value);
    body_.append(raw, sizeof value);
  }
  void text(std::string_view value) {
    put(std::uint64_t{value.size()});
    body_.append(value);
  }
  void begin(std::string_view key, std::uint32_t type) {
    ++count_;
    text(key);
    put(type);
  }
  void array(std::string_view key, std::uint32_t type, std::size_t size) {
    begin(key, 9);
    put(type);
    put(std::uint64_t{size});
  }
  std::string body_;
  std::string bytes_;
  std::uint64_t count_ = 0;
};

const std::vector<std::string> kTokens = {"a", "b", "c", "ab", "Ġ", "Ġab", "<end>", "<think>"};
const std::vector<std::int32_t> kTypes = {1, 1, 1, 1, 1, 1, 3, 4};

GgufWriter bpe(const std::vector<std::string>& merges = {"a b", "Ġ ab"}, std::string_view pre = "gpt-2") {
  GgufWriter w;
  w.string("tokenizer.ggml.model", "gpt2").string("tokenizer.ggml.pre", pre);
  w.strings("tokenizer.ggml.tokens", kTokens).i32s("tokenizer.ggml.token_type", kTypes);
  w.strings("tokenizer.ggml.merges", merges);
  return w;
}

// Two kinds of failure only: what the file says cannot be, or is not known here.
void expect_refused(GgufWriter writer, const std::string& words, ErrorCode code = ErrorCode::kCorruptData) {
  const auto loaded = writer.load();
  ASSERT_FALSE(loaded.ok()) << "loaded; expected '" << words << "'";
  EXPECT_EQ(loaded.error().code, code) << loaded.error().message;
  EXPECT_NE(loaded.error().message.find(words), std::string::npos) << loaded.error().message;
  EXPECT_EQ(loaded.error().subject, "made.gguf");
}

TEST(Vocabulary, SmallByteLevelBpe) {
  auto loaded = bpe().u32("tokenizer.ggml.eos_token_id", 6).load();
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  const Tokenizer& t = **loaded;
  EXPECT_EQ(t.encode("ab ab", SpecialText::kParse), (std::vector<TokenId>{3, 5}));
  EXPECT_EQ(t.encode("c<end><think>a", SpecialText::kParse), (std::vector<TokenId>{2, 6, 7, 0}));
  EXPECT_EQ(t.encode("c<think>a", SpecialText::kAsText), (std::vector<TokenId>{2, 7, 0}));
  EXPECT_EQ(t.bytes(5), " ab");
  EXPECT_EQ(t.decode(std::vector<TokenId>{2, 6, 5}, true), "c ab");
  EXPECT_EQ(t.decode(std::vector<TokenId>{2, 6, 5}, false), "c<end> ab");
  EXPECT_EQ(t.eos(), 6);
  EXPECT_EQ(t.bos(), kNoToken);
  EXPECT_EQ(t.end_tokens().size(), 1u);
  EXPECT_TRUE(t.encode("", SpecialText::kParse).empty());
}

TEST(Vocabulary, SmallSentencePiece) {
  const std::vector<std::string> tokens = {"<unk>", "<s>", "</s>", "<0xE2>", "<0x82>", "<0xAC>",
                                           "▁",     "a",   "b",    "ab",     "▁ab"};
  const std::vector<std::int32_t> types = {2, 3, 3, 6, 6, 6, 1, 1, 1, 1, 1};
  const std::vector<float> scores = {0, 0, 0, 0, 0, 0, -3, -4, -5, -1, -2};
  GgufWriter w;
  w.string("tokenizer.ggml.model", "llama").strings("tokenizer.ggml.tokens", tokens);
  w.i32s("tokenizer.ggml.token_type", types).f32s("tokenizer.ggml.scores", scores);
  w.u32("tokenizer.ggml.bos_token_id", 1).u32("tokenizer.ggml.eos_token_id", 2);
  auto loaded = w.load();
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  const Tokenizer& t = **loaded;
  EXPECT_EQ(t.encode("ab ab", SpecialText::kParse), (std::vector<TokenId>{10, 10}));
  EXPECT_EQ(t.encode("b€", SpecialText::kParse), (std::vector<TokenId>{6, 8, 3, 4, 5}));
  EXPECT_EQ(t.encode("ab</s>ba", SpecialText::kParse), (std::vector<TokenId>{10, 2, 6, 8, 7}));
  EXPECT_EQ(t.bytes(10), " ab");
  EXPECT_EQ(t.bytes(3), "\xE2");
  EXPECT_EQ(t.decode(std::vector<TokenId>{3, 4, 5}, true), "€");
  EXPECT_TRUE(t.adds_bos());
  EXPECT_EQ(t.bos(), 1);
  EXPECT_TRUE(t.is_special(0));
}

TEST(Vocabulary, LiesAreRefused) {
  expect_refused(GgufWriter(), "no vocabulary");
  expect_refused(GgufWriter().string("tokenizer.ggml.model", "gpt2").strings("tokenizer.ggml.tokens", {}),
                 "no vocabulary");
  expect_refused(GgufWriter().string("tokenizer.ggml.model", "gpt2").i32s("tokenizer.ggml.tokens", {1}),
                 "no vocabulary");
  expect_refused(GgufWriter().string("tokenizer.ggml.model", "runes").strings("tokenizer.ggml.tokens", {"a"}),
                 "runes", ErrorCode::kUnsupported);
  expect_refused(bpe({"a b"}, "martian"), "martian", ErrorCode::kUnsupported);
  expect_refused(bpe({"ab"}), "merge 0 ('ab')");
  expect_refused(bpe({""}), "merge 0");
  expect_refused(bpe({" "}), "merge 0");
  expect_refused(bpe({"a b", "a z"}), "merge 1");
  expect_refused(bpe({"b a"}), "'ba'");
  expect_refused(bpe().u32("tokenizer.ggml.eos_token_id", 8), "tokenizer.ggml.eos_token_id is 8");
  expect_refused(bpe().u32("tokenizer.ggml.bos_token_id", 1u << 31), "tokenizer.ggml.bos_token_id");
  const auto with = [](std::vector<std::string> tokens) {
    GgufWriter w;
    w.string("tokenizer.ggml.model", "gpt2").strings("tokenizer.ggml.tokens", tokens);
    return w;
  };
  expect_refused(with({"a"}).i32s("tokenizer.ggml.token_type", {1, 1}), "token_type has 2 entries");
  expect_refused(with({"a"}).i32s("tokenizer.ggml.token_type", {77}), "unknown type 77");
  expect_refused(with({"a"}).i32s("tokenizer.ggml.token_type", {-5}), "unknown type");
  expect_refused(with({"a", "\xFF\xFE"}), "token 1 is not valid UTF-8");
  expect_refused(with({std::string(5000, 'x')}), "5000 bytes");
  GgufWriter spm;
  spm.string("tokenizer.ggml.model", "llama").strings("tokenizer.ggml.tokens", {"a", "b"});
  expect_refused(spm, "needs scores");
  expect_refused(spm.f32s("tokenizer.ggml.scores", {1.0F, std::numeric_limits<float>::quiet_NaN()}),
                 "not a number");
}

TEST(Vocabulary, OddButUsableOnesLoad) {
  GgufWriter w;
  w.string("tokenizer.ggml.model", "gpt2").strings("tokenizer.ggml.tokens", {"", "a", "a", "", "天"});
  w.u32("tokenizer.ggml.eos_token_id", 0xFFFFFFFF);
  auto loaded = w.load();
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  EXPECT_EQ((*loaded)->encode("a?a天", SpecialText::kParse), (std::vector<TokenId>{1, 1}));
  EXPECT_EQ((*loaded)->eos(), kNoToken);
  EXPECT_EQ((*loaded)->bytes(0), "");
}

// Random damage to a whole small file: an Error or a tokenizer that works, never a crash.
TEST(Vocabulary, RandomMetadataNeverCrashes) {
  const std::string pool[] = {"a",      "b", "ab", "Ġ", "",    " ",  "a b",  "<0x41>",
                              "<0xZZ>", "▁", "▁a", "é", "<s>", "ba", "<0x4>"};
  for (unsigned seed = 0; seed < 400; ++seed) {
    std::mt19937 random(seed);
    const auto pick = [&](std::size_t most) {
      std::vector<std::string> out;
      for (std::size_t i = random() % most; i > 0; --i) out.push_back(pool[random() % std::size(pool)]);
      return out;
    };
    const auto tokens = pick(14);
    GgufWriter w;
    w.string("tokenizer.ggml.model", std::array{"gpt2", "llama", "gemma4"}[random() % 3])
        .strings("tokenizer.ggml.tokens", tokens);
    if (random() % 2) w.strings("tokenizer.ggml.merges", pick(4));
    std::vector<std::int32_t> types;
    std::vector<float> scores;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      types.push_back(static_cast<std::int32_t>(random() % 7));
      scores.push_back(static_cast<float>(random() % 5) - 2.0F);
    }
    if (random() % 2) w.i32s("tokenizer.ggml.token_type", types);
    w.f32s("tokenizer.ggml.scores", scores);
    auto loaded = w.load();
    if (!loaded.ok()) {
      EXPECT_NE(loaded.error().code, ErrorCode::kInternal)
          << "seed " << seed << ": " << loaded.error().message;
      continue;
    }
    for (const TokenId id : (*loaded)->encode("ab <s>é a\xFF", SpecialText::kParse)) {
      EXPECT_LT(static_cast<std::size_t>(id), tokens.size()) << "seed " << seed;
    }
  }
}

}  // namespace
}  // namespace kvasir::text
