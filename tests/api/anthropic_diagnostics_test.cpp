#include "api/anthropic_diagnostics.h"

#include <gtest/gtest.h>

#include "api/anthropic_messages.h"

namespace kvasir::api {
namespace {

chat::Conversation conversation(const std::string& fields) {
  auto parsed = parse_anthropic_messages(R"({"max_tokens":1,)" + fields + "}");
  EXPECT_TRUE(parsed.ok()) << parsed.error().message;
  return std::move(parsed->conversation);
}

constexpr std::uint32_t kTokens = 50;

// The reason that a second request is given, whose prompt has 60 tokens, 20 of them found.
std::string reason(const std::string& first, const std::string& second, const std::string& model = "m",
                   const std::string& name_space = "n") {
  const PromptRecord before = prompt_record(conversation(first), "m", "n", kTokens);
  const auto talk = conversation(second);
  const auto miss = cache_miss(&before, prompt_record(talk, model, name_space, 60), talk);
  return boost::json::serialize(diagnostics_json(miss, 60, 20));
}

std::string changed(const std::string& type) {
  return R"({"cache_miss_reason":{"type":")" + type + R"(","cache_missed_input_tokens":30}})";
}

const std::string kSystem = R"("system":[{"type":"text","text":"S"}],)";
const std::string kTools = R"("tools":[{"name":"f"}],)";
const std::string kAsked =
    R"({"role":"user","content":[{"type":"text","text":"U","cache_control":{"type":"ephemeral"}}]})";
const std::string kPlain = R"({"role":"user","content":"U"})";
const std::string kMore = R"(,{"role":"assistant","content":"A"},{"role":"user","content":"V"})";

std::string messages(const std::string& list) {
  return R"("messages":[)" + list + "]";
}

TEST(CacheDiagnostics, AConversationThatGoesOnMissesNothing) {
  EXPECT_EQ(reason(kSystem + kTools + messages(kAsked), kSystem + kTools + messages(kPlain + kMore)), "null");
}

TEST(CacheDiagnostics, NamesTheFirstThingThatChanged) {
  const std::string before = kSystem + kTools + messages(kAsked);
  EXPECT_EQ(reason(before, R"("system":"T",)" + messages("{\"role\":\"user\",\"content\":\"W\"}")),
            changed("system_changed"));
  EXPECT_EQ(reason(before, kSystem + R"("tools":[{"name":"f"},{"name":"g"}],)" + messages(kPlain + kMore)),
            changed("tools_changed"));
  EXPECT_EQ(reason(before, kSystem + kTools + messages(R"({"role":"user","content":"W"})" + kMore)),
            changed("messages_changed"));
  EXPECT_EQ(reason(kSystem + kTools + messages(kPlain + kMore), kSystem + kTools + messages(kPlain)),
            changed("messages_changed"));
  EXPECT_EQ(reason(before, before, "other weights"), changed("model_changed"));
}

TEST(CacheDiagnostics, OtherSettingsAreUnavailable) {
  EXPECT_EQ(reason(messages(kPlain), R"("thinking":{"type":"disabled"},)" + messages(kPlain + kMore)),
            R"({"cache_miss_reason":{"type":"unavailable"}})");
}

TEST(CacheDiagnostics, AnotherClientsAnswerIsNotFound) {
  const std::string not_found = R"({"cache_miss_reason":{"type":"previous_message_not_found"}})";
  EXPECT_EQ(reason(messages(kPlain), messages(kPlain), "m", "another"), not_found);
  const auto talk = conversation(messages(kPlain));
  EXPECT_EQ(boost::json::serialize(
                diagnostics_json(cache_miss(nullptr, prompt_record(talk, "m", "n", 9), talk), 9, 0)),
            not_found);
}

TEST(CacheDiagnostics, NothingIsMissedWhereAllWasFoundElsewhere) {
  const CacheMiss miss{"tools_changed", true, kTokens};
  EXPECT_EQ(diagnostics_json(miss, 60, 59), nullptr);
  EXPECT_EQ(diagnostics_json(miss, 60, kTokens), nullptr);
}

}  // namespace
}  // namespace kvasir::api
