#include "cli/client_settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace kvasir::cli {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Pair;

const ServerAddress kServer{"http://127.0.0.1:9000", "it's", "qwen", 65536};

ClientSettings settings_of(const char* name, const ServerAddress& server = kServer) {
  return find_client(name)->settings(server);
}

TEST(ClientSettings, ClaudeGetsAddressKeyModelForEveryUseAndContext) {
  const auto v = settings_of("claude").variables;
  EXPECT_THAT(v, Contains(Pair("ANTHROPIC_BASE_URL", "http://127.0.0.1:9000")));
  EXPECT_THAT(v, Contains(Pair("ANTHROPIC_AUTH_TOKEN", "it's")));
  for (const char* name : {"ANTHROPIC_MODEL", "ANTHROPIC_SMALL_FAST_MODEL", "ANTHROPIC_DEFAULT_HAIKU_MODEL",
                           "ANTHROPIC_DEFAULT_OPUS_MODEL", "CLAUDE_CODE_SUBAGENT_MODEL"}) {
    EXPECT_THAT(v, Contains(Pair(name, "qwen")));
  }
  EXPECT_THAT(v, Contains(Pair("CLAUDE_CODE_MAX_CONTEXT_TOKENS", "65536")));
  EXPECT_THAT(v, Contains(Pair("CLAUDE_CODE_MAX_OUTPUT_TOKENS", "8192")));
  EXPECT_THAT(v, Contains(Pair("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1")));
}

TEST(ClientSettings, AHostedKeyIsNotSentToTheLocalServer) {
  EXPECT_THAT(settings_of("claude").variables, Contains(Pair("ANTHROPIC_API_KEY", std::nullopt)));
}

TEST(ClientSettings, WithoutAKeyClientsGetAnyWordSinceTheyWantOne) {
  ServerAddress open = kServer;
  open.api_key.clear();
  EXPECT_THAT(settings_of("claude", open).variables, Contains(Pair("ANTHROPIC_AUTH_TOKEN", "local")));
  EXPECT_THAT(settings_of("qwen", open).variables, Contains(Pair("OPENAI_API_KEY", "local")));
}

TEST(ClientSettings, AnUnknownContextIsNotInvented) {
  ServerAddress unknown = kServer;
  unknown.context_tokens = 0;
  for (const auto& [name, value] : settings_of("claude", unknown).variables)
    EXPECT_THAT(name, testing::Not(HasSubstr("MAX_")));
}

TEST(ClientSettings, AnswersAreAnEighthOfTheContextAndNoMoreThanClaudeCodeAsksFor) {
  EXPECT_EQ(answer_tokens(32768), 4096);
  EXPECT_EQ(answer_tokens(1'000'000), 32'000);
  EXPECT_EQ(answer_tokens(2), 1);
}

TEST(ClientSettings, OpencodeGetsAProviderWithTheModelAndItsLimits) {
  const auto v = settings_of("opencode").variables;
  ASSERT_EQ(v.size(), 1);
  EXPECT_EQ(v[0].first, "OPENCODE_CONFIG_CONTENT");
  const boost::json::value config = boost::json::parse(*v[0].second);
  EXPECT_EQ(config.at("model").as_string(), "kvasir/qwen");
  const auto& provider = config.at("provider").at("kvasir");
  EXPECT_EQ(provider.at("options").at("baseURL").as_string(), "http://127.0.0.1:9000/v1");
  EXPECT_EQ(provider.at("models").at("qwen").at("limit").at("context").as_int64(), 65536);
}

TEST(ClientSettings, CodexGetsAResponsesProviderWhoseKeyIsInAVariable) {
  ServerAddress odd = kServer;
  odd.model = "a\"b\\c";
  const ClientSettings s = settings_of("codex", odd);
  EXPECT_THAT(s.arguments, Contains("model_providers.kvasir.base_url=\"http://127.0.0.1:9000/v1\""));
  EXPECT_THAT(s.arguments, Contains("model_providers.kvasir.wire_api=\"responses\""));
  EXPECT_THAT(s.arguments, Contains("model=\"a\\\"b\\\\c\""));
  EXPECT_THAT(s.variables, Contains(Pair("KVASIR_API_KEY", "it's")));
  for (const std::string& argument : s.arguments) EXPECT_THAT(argument, testing::Not(HasSubstr("it's")));
}

TEST(ShellLines, QuoteWhatTheShellWouldRead) {
  const Client& qwen = *find_client("qwen");
  const ClientSettings s{{{"KEY", "it's $HOME"}, {"GONE", std::nullopt}}, {"--a", "b c"}};
  EXPECT_EQ(shell_lines(qwen, s, ShellFormat::kPosix),
            "export KEY='it'\\''s $HOME'\nunset GONE\nalias qwen='qwen '\\''--a'\\'' '\\''b c'\\'''\n");
  EXPECT_EQ(shell_lines(qwen, s, ShellFormat::kFish),
            "set -gx KEY 'it\\'s $HOME'\nset -e GONE\nalias qwen 'qwen \\'--a\\' \\'b c\\''\n");
  EXPECT_EQ(shell_lines(qwen, s, ShellFormat::kJson),
            "{\"env\":{\"KEY\":\"it's $HOME\",\"GONE\":null},\"args\":[\"--a\",\"b c\"]}\n");
}

}  // namespace
}  // namespace kvasir::cli
