#include "executor/scripted.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "executor/tiny_tokenizer.h"

namespace kvasir::executor {
namespace {

constexpr const char* kScript = R"({"rules": [
  {"reply": "default"},
  {"when": "weather", "reply": "<tool_call>sun</tool_call>"},
  {"when": "weather", "unless": "please", "reply": "ask nicely"},
  {"when": "umlaut", "reply": "größer"}]})";

class ScriptedTest : public testing::Test {
 protected:
  void SetUp() override {
    tokenizer_ = testing_support::tiny_tokenizer();
    ASSERT_NE(tokenizer_, nullptr);
    executor_ = ScriptedExecutor::create(tokenizer_, parse_script(kScript).value()).value();
    memory_.resize(64 * executor_->describe().kv_bytes_per_block);
    blocks_.resize(64);
    for (std::uint32_t i = 0; i < 64; ++i) blocks_[i] = BlockId{63 - i};
  }
  KvStorage kv() { return {memory_.data(), executor_->describe().kv_bytes_per_block}; }
  std::vector<TokenId> chat(const std::string& user) const {
    return tokenizer_->encode("<|im_start|>user\n" + user + "<|im_end|>\n<|im_start|>assistant\n",
                              text::SpecialText::kParse);
  }
  // Greedy decoding, one span a step.
  std::string generate(std::vector<TokenId> tokens) {
    std::vector<float> logits(executor_->describe().vocab_size);
    const std::size_t prompt = tokens.size();
    std::uint32_t start = 0;
    while (tokens.size() < prompt + 200) {
      const SequenceSpan span{std::span(tokens).subspan(start), start, blocks_, 1};
      const Status status = executor_->forward({&span, 1}, kv(), logits);
      if (!status.ok()) return "error: " + status.error().message;
      start = static_cast<std::uint32_t>(tokens.size());
      const auto next = static_cast<TokenId>(std::ranges::max_element(logits) - logits.begin());
      if (std::ranges::find(tokenizer_->end_tokens(), next) != tokenizer_->end_tokens().end()) break;
      tokens.push_back(next);
    }
    return tokenizer_->decode(std::span(tokens).subspan(prompt), false);
  }

  std::shared_ptr<const text::Tokenizer> tokenizer_;
  std::unique_ptr<ScriptedExecutor> executor_;
  std::vector<std::byte> memory_;
  std::vector<BlockId> blocks_;
};

TEST_F(ScriptedTest, PlaysTheLastRuleThatApplies) {
  EXPECT_EQ(generate(chat("hello")), "default");
  EXPECT_EQ(generate(chat("the weather, please")), "<tool_call>sun</tool_call>");
  EXPECT_EQ(generate(chat("the weather")), "ask nicely");
  EXPECT_EQ(generate(chat("umlaut")), "größer");
}

TEST_F(ScriptedTest, OnlyTheLastTurnDecides) {
  auto tokens = chat("the weather");
  const auto more = tokenizer_->encode("ask nicely<|im_end|>\n", text::SpecialText::kParse);
  tokens.insert(tokens.end(), more.begin(), more.end());
  const auto next = chat("thanks");
  tokens.insert(tokens.end(), next.begin(), next.end());
  EXPECT_EQ(generate(tokens), "default");
}

TEST_F(ScriptedTest, RawTextGoesOnWithTheReply) {
  EXPECT_EQ(generate(tokenizer_->encode("some weather: ", text::SpecialText::kParse)), "ask nicely");
}

TEST_F(ScriptedTest, ATemplatesOpenThoughtIsNotPartOfTheAnswer) {
  auto tokens = chat("hello");
  const auto thought = tokenizer_->encode("<think>\n\n</think>\n\n", text::SpecialText::kParse);
  tokens.insert(tokens.end(), thought.begin(), thought.end());
  EXPECT_EQ(generate(tokens), "default");
}

TEST_F(ScriptedTest, KvThatDoesNotHangTogetherIsAnError) {
  std::vector<TokenId> tokens(130);
  std::iota(tokens.begin(), tokens.end(), 0);
  SequenceSpan span{tokens, 0, blocks_, 0};
  ASSERT_TRUE(executor_->forward({&span, 1}, kv(), {}).ok());
  span = {std::span(tokens).subspan(129), 129, blocks_, 0};
  ASSERT_TRUE(executor_->forward({&span, 1}, kv(), {}).ok());
  // Someone else's block in the middle.
  std::swap(blocks_[0], blocks_[1]);
  const Status status = executor_->forward({&span, 1}, kv(), {});
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kInternal);
  // Blocks that were never written.
  span.blocks = std::span(blocks_).subspan(10);
  EXPECT_FALSE(executor_->forward({&span, 1}, kv(), {}).ok());
}

TEST_F(ScriptedTest, LogitsDependOnTheContextAlone) {
  const auto tokens = chat("hello");
  std::vector<float> whole(executor_->describe().vocab_size);
  std::vector<float> cut(whole.size());
  const SequenceSpan all{tokens, 0, blocks_, 1};
  ASSERT_TRUE(executor_->forward({&all, 1}, kv(), whole).ok());
  for (std::uint32_t at = 0; at < tokens.size(); ++at) {
    const bool last = at + 1 == tokens.size();
    const SequenceSpan one{std::span(tokens).subspan(at, 1), at, std::span(blocks_).subspan(30),
                           last ? 1U : 0U};
    ASSERT_TRUE(executor_->forward({&one, 1}, kv(), cut).ok());
  }
  EXPECT_EQ(whole, cut);
}

TEST(Script, RefusesWhatIsNotAScript) {
  for (const char* wrong :
       {"", "[]", "{}", R"({"rules": [1]})", R"({"rules": [{}]})", R"({"rules": [{"reply": 1}]})",
        R"({"rules": [{"reply": "a", "scope": "x"}]})", R"({"rules": [], "turn_markers": "x"})",
        R"({"rules": [], "context_length": -1})"}) {
    const auto script = parse_script(wrong);
    ASSERT_FALSE(script.ok()) << wrong;
    EXPECT_EQ(script.error().code, ErrorCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace kvasir::executor
