// What a launcher decides before it does anything: whose words are whose, which server ANYCLAUDE_* means, and
// what a health check says.

#include <gtest/gtest.h>
#include <CLI/CLI.hpp>

#include <map>

#include "cli/anyclaude.h"
#include "cli/background_server.h"
#include "cli/launch_arguments.h"
#include "cli/serve.h"
#include "cli/server_state.h"

namespace kvasir::cli {
namespace {

using Words = std::vector<std::string>;

class SplitArguments : public testing::Test {
 protected:
  SplitArguments() { add_serve_options(app_, options_); }
  void expect(const Words& words, const Words& server, const Words& client) {
    const LaunchArguments split = split_arguments(app_, words);
    EXPECT_EQ(split.server, server);
    EXPECT_EQ(split.client, client);
  }

 private:
  CLI::App app_;
  ServeOptions options_;
};

TEST_F(SplitArguments, LeadingServerOptionsEndAtTheFirstOtherWord) {
  expect({"-m", "x.gguf", "--ctx=9000", "--share-cache", "-p", "question", "-m", "y"},
         {"-m", "x.gguf", "--ctx=9000", "--share-cache"}, {"-p", "question", "-m", "y"});
  expect({}, {}, {});
  expect({"exec", "--port", "1"}, {}, {"exec", "--port", "1"});
}

TEST_F(SplitArguments, ADashDashLetsTheServerHaveItsShortOptions) {
  expect({"-m", "x.gguf", "-p", "9000", "--", "-p", "question", "--", "rest"}, {"-m", "x.gguf", "-p", "9000"},
         {"-p", "question", "--", "rest"});
  expect({"--", "--port", "1"}, {}, {"--port", "1"});
}

TEST_F(SplitArguments, AClientsOwnDashDashStaysItsOwn) {
  expect({"mcp", "add", "x", "--", "npx", "y"}, {}, {"mcp", "add", "x", "--", "npx", "y"});
  expect({"-p", "9000", "more"}, {}, {"-p", "9000", "more"});
  expect({"-p", "question", "--", "more"}, {}, {"-p", "question", "--", "more"});
}

class Anyclaude : public testing::Test {
 protected:
  std::map<std::string, std::string> variables_;
  Result<std::optional<AnyclaudeChoice>> choose() const {
    return anyclaude_choice([this](const std::string& name) -> std::optional<std::string> {
      const auto found = variables_.find(name);
      if (found == variables_.end()) return std::nullopt;
      return found->second;
    });
  }
};

TEST_F(Anyclaude, UnsetMeansNothing) {
  variables_["MLX_LM_URL"] = "http://localhost:1/v1";
  EXPECT_FALSE((*choose()).has_value());
}

TEST_F(Anyclaude, ModesHaveTheirPortsAndVariables) {
  for (const auto& [mode, port] : std::map<std::string, int>{
           {"mlx-lm", 8081}, {"MLX-LM", 8081}, {"vllm-mlx", 8081}, {"lmstudio", 1234}}) {
    variables_["ANYCLAUDE_MODE"] = mode;
    EXPECT_EQ((*choose())->port, port) << mode;
  }
  variables_ = {{"ANYCLAUDE_MODE", "lmstudio"},
                {"LMSTUDIO_URL", "http://localhost:4321/v1"},
                {"LMSTUDIO_MODEL", "current-model"},
                {"LMSTUDIO_API_KEY", "k"},
                {"MLX_LM_MODEL", "not this one"}};
  const AnyclaudeChoice choice = **choose();
  EXPECT_EQ(choice.host, "127.0.0.1");
  EXPECT_EQ(choice.port, 4321);
  EXPECT_EQ(choice.model, "");
  EXPECT_EQ(choice.api_key, "k");
}

TEST_F(Anyclaude, ClaudeIsTheHostedApi) {
  variables_["ANYCLAUDE_MODE"] = "claude";
  EXPECT_TRUE((*choose())->hosted);
}

TEST_F(Anyclaude, WhatHasNoMeaningHereIsToldByName) {
  variables_["ANYCLAUDE_MODE"] = "openrouter";
  EXPECT_NE(choose().error().message.find("ANYCLAUDE_MODE=openrouter"), std::string::npos);
  for (const char* url :
       {"localhost:8081", "https://x/v1", "http://:80/v1", "http://x:0/v1", "http://x:9z/"}) {
    variables_ = {{"ANYCLAUDE_MODE", "mlx-lm"}, {"MLX_LM_URL", url}};
    ASSERT_FALSE(choose().ok()) << url;
    EXPECT_EQ(choose().error().subject, "MLX_LM_URL");
  }
}

TEST(HealthCheck, TellsKvasirFromOtherServers) {
  using State = Health::State;
  const auto state = [](int status, const char* body) { return health_from(status, body).state; };
  EXPECT_EQ(state(200, R"({"status":"ok","progress":1.0,"model":"m"})"), State::kReady);
  EXPECT_EQ(state(200, R"({"status":"loading","progress":0.5,"model":"m"})"), State::kLoading);
  EXPECT_EQ(state(503, R"({"status":"failed","error":"no memory"})"), State::kFailed);
  EXPECT_EQ(state(200, R"({"status":"ok"})"), State::kForeign);
  EXPECT_EQ(state(404, "not found"), State::kForeign);
  EXPECT_EQ(state(200, "[1]"), State::kForeign);
}

TEST(ServerRecord, ARecordsNameHasItsPort) {
  EXPECT_EQ(port_of_record("server-8081.json"), 8081);
  for (const char* other :
       {"server-8081.log", "server-.json", "server-65536.json", "server-1.json.new", "8081"})
    EXPECT_EQ(port_of_record(other), std::nullopt) << other;
}

TEST(ServerRecord, ComesBackAsItWasWritten) {
  const ServerState state{42, "0.0.0.0", 8081, "a \"model\"", "key"};
  const auto back = state_from_json(to_json(state));
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(back->process, 42);
  EXPECT_EQ(back->host, "0.0.0.0");
  EXPECT_EQ(back->port, 8081);
  EXPECT_EQ(back->model, "a \"model\"");
  EXPECT_EQ(back->api_key, "key");
}

TEST(ServerRecord, DamageIsNoRecord) {
  for (const char* text : {"", "{", "[]", "{}", R"({"process":-1,"port":80})",
                           R"({"process":1,"port":70000})", R"({"process":"1","port":80})"}) {
    EXPECT_FALSE(state_from_json(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace kvasir::cli
