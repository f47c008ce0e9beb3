#include "api/thought_signature.h"

#include <gtest/gtest.h>

#include "api/anthropic_messages.h"

namespace kvasir::api {
namespace {

TEST(ThoughtSigner, VerifiesItsOwnAfterARestart) {
  const std::string signature = ThoughtSigner("key:1").sign("because", false);
  EXPECT_EQ(ThoughtSigner("key:1").verified("because", signature), "because");
}

TEST(ThoughtSigner, RefusesChangedThoughtsForeignKeysAndOtherServersSignatures) {
  const ThoughtSigner signer("key:1");
  const std::string signature = signer.sign("because", false);
  EXPECT_EQ(signer.verified("because!", signature), std::nullopt);
  EXPECT_EQ(signer.verified("", signature), std::nullopt);
  EXPECT_EQ(ThoughtSigner("key:2").verified("because", signature), std::nullopt);
  EXPECT_EQ(ThoughtSigner().verified("because", signature), std::nullopt);
  for (const char* other : {"", "x", "EqQBCgIYAhIM", "EqQBCgIYAhIMEqQBCgIYAhIMEqQBCgIYAhIM"})
    EXPECT_EQ(signer.verified("because", other), std::nullopt) << other;
}

TEST(ThoughtSigner, CarriesWhatIsNotShown) {
  const ThoughtSigner signer("key:1");
  const std::string signature = signer.sign("because\n\xc3\xa9", true);
  EXPECT_EQ(signature.find("because"), std::string::npos);
  EXPECT_EQ(signer.verified("", signature), "because\n\xc3\xa9");
  EXPECT_EQ(ThoughtSigner("key:2").verified("", signature), std::nullopt);
}

TEST(ThoughtSigner, OnlyItsOwnThoughtsReachTheConversation) {
  const ThoughtSigner signer("key:1");
  const auto thinking = [](const std::string& thought, const std::string& signature) {
    return R"({"type":"thinking","thinking":")" + thought + R"(","signature":")" + signature + "\"},";
  };
  const auto parsed = parse_anthropic_messages(
      R"({"max_tokens":1,"messages":[{"role":"user","content":"U"},{"role":"assistant","content":[)" +
          thinking("mine", signer.sign("mine", false)) + thinking("theirs", "EqQBCgIYAhIM") +
          thinking("", signer.sign("hidden", true)) +
          R"({"type":"text","text":"A"}]},{"role":"user","content":"V"}]})",
      signer);
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  EXPECT_EQ(parsed->conversation.messages[1].reasoning, "mine\nhidden");
  EXPECT_EQ(parsed->anthropic.foreign_thoughts, std::vector<std::string>{"messages.1.content.1"});
}

}  // namespace
}  // namespace kvasir::api
