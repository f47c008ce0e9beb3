#include "api/tokenize.h"

#include <gtest/gtest.h>

namespace kvasir::api {
namespace {

TokenizeRequest tokenize(const std::string& body) {
  auto parsed = parse_tokenize(body);
  EXPECT_TRUE(parsed.ok()) << parsed.error().message;
  return parsed.ok() ? *parsed : TokenizeRequest();
}

TEST(Tokenize, VllmsTextHasTheBeginningToken) {
  const TokenizeRequest request = tokenize(R"({"model":"m","prompt":"Hi","return_token_strs":true})");
  EXPECT_EQ(request.model, "m");
  EXPECT_EQ(request.text, "Hi");
  EXPECT_TRUE(request.add_special && request.with_strings && request.parse_special);
  EXPECT_FALSE(tokenize(R"({"prompt":"Hi","add_special_tokens":false})").add_special);
}

TEST(Tokenize, LlamaServersTextHasNot) {
  const TokenizeRequest request = tokenize(R"({"content":"Hi","with_pieces":true,"parse_special":false})");
  EXPECT_EQ(request.text, "Hi");
  EXPECT_TRUE(request.with_pieces);
  EXPECT_FALSE(request.add_special || request.parse_special);
  EXPECT_TRUE(tokenize(R"({"content":"Hi","add_special":true})").add_special);
}

TEST(Tokenize, AConversationGoesThroughTheTemplate) {
  const TokenizeRequest request =
      tokenize(R"({"messages":[{"role":"user","content":"Hi"}],"add_generation_prompt":false})");
  ASSERT_TRUE(request.conversation.has_value());
  EXPECT_EQ(request.conversation->chat.conversation.messages.size(), 1U);
  EXPECT_FALSE(request.conversation->add_generation_prompt || request.add_special);
}

TEST(Tokenize, BadInputNamesTheField) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({})", "prompt"},
      {R"({"prompt":5})", "prompt"},
      {R"({"prompt":"a","content":"b"})", "content"},
      {R"({"content":"a","messages":[]})", "messages"},
      {R"({"messages":[]})", "messages"},
      {R"({"prompt":"a","add_special":true,"add_special_tokens":false})", "add_special"},
      {R"({"messages":[{"role":"user","content":"Hi"}],"chat_template":"x"})", "chat_template"},
      {R"({"messages":[{"role":"user","content":"Hi"}],"continue_final_message":true})",
       "continue_final_message"},
  };
  for (const auto& [body, subject] : cases) {
    const auto parsed = parse_tokenize(body);
    ASSERT_FALSE(parsed.ok()) << body;
    EXPECT_EQ(parsed.error().subject, subject) << parsed.error().message;
  }
  EXPECT_EQ(parse_detokenize(R"({"tokens":[1,-1]})").error().subject, "tokens[1]");
  EXPECT_EQ(parse_detokenize(R"({})").error().subject, "tokens");
}

TEST(Tokenize, AnswersHoldTheNamesOfBoth) {
  const auto bytes = [](TokenId token) {
    return token == 1 ? std::string_view("H\"") : std::string_view("\xc3");
  };
  TokenizeRequest request;
  const std::vector<TokenId> tokens = {1, 2};
  EXPECT_EQ(tokenize_body(request, tokens, 99, bytes),
            R"({"count":2,"max_model_len":99,"tokens":[1,2],"token_strs":null})");
  request.with_pieces = request.with_strings = true;
  EXPECT_EQ(tokenize_body(request, tokens, 99, bytes),
            R"({"count":2,"max_model_len":99,"tokens":[{"id":1,"piece":"H\""},{"id":2,"piece":[195]}],)"
            R"("token_strs":["H\"","�"]})");
  EXPECT_EQ(detokenize_body("a\xc3"), R"({"prompt":"a�","content":"a�"})");
}

}  // namespace
}  // namespace kvasir::api
