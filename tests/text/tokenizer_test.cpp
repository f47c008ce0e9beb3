#include "text/tokenizer.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace kvasir::text
