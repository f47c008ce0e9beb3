#include <gtest/gtest.h>

#include "api/anthropic_messages.h"

namespace kvasir::api {
namespace {

using chat::Role;

constexpr const char* kTools = R"("tools":[
  {"name":"search","input_schema":{"type":"object"}},
  {"name":"fetch","description":"Fetches.","input_schema":{"type":"object","properties":{"url":{"type":"string"}}},"defer_loading":true},
  {"name":"write","input_schema":{"type":"object"}}])";

ChatRequest parsed(const std::string& messages, const std::string& tools = kTools) {
  auto request = parse_anthropic_messages(R"({"max_tokens":1,"messages":[)" + messages + "]," + tools + "}");
  EXPECT_TRUE(request.ok()) << request.error().message;
  return request.ok() ? *request : ChatRequest();
}

std::string names(const ChatRequest& request) {
  std::string all;
  for (const chat::Tool& tool : request.conversation.tools)
    all += tool.name + (tool.deferred ? " (deferred) " : " ") + (tool.withdrawn ? "(gone) " : "") +
           std::to_string(*tool.client_index) + "; ";
  return all;
}

constexpr const char* kFound = R"({"role":"user","content":"U"},
  {"role":"assistant","content":[{"type":"tool_use","id":"c1","name":"search","input":{}}]},
  {"role":"user","content":[{"type":"tool_result","tool_use_id":"c1","content":[{"type":"tool_reference","tool_name":"fetch"}]}]})";

TEST(DeferredTools, AreNotThereBeforeTheyAreFound) {
  EXPECT_EQ(names(parsed(R"({"role":"user","content":"U"})")), "search 0; write 2; ");
}

TEST(DeferredTools, AReferenceBringsTheDefinition) {
  const ChatRequest request = parsed(kFound);
  EXPECT_EQ(names(request), "search 0; fetch (deferred) 1; write 2; ");
  const chat::Message& result = request.conversation.messages.back();
  EXPECT_EQ(result.role, Role::kTool);
  EXPECT_EQ(
      result.content,
      "The tool fetch can be called from here on:\n"
      R"({"type":"function","function":{"name":"fetch","description":"Fetches.","parameters":{"type":"object","properties":{"url":{"type":"string"}}}}})");
}

TEST(DeferredTools, AReferenceToAToolThatIsGoneSaysSo) {
  const ChatRequest request = parsed(kFound, R"("tools":[{"name":"search","input_schema":{}}])");
  EXPECT_EQ(request.conversation.messages.back().content, "The tool fetch is not there any more.");
}

TEST(DeferredTools, ASystemTurnAddsAndRemoves) {
  const ChatRequest request = parsed(R"({"role":"user","content":"U"},{"role":"assistant","content":"A"},
    {"role":"user","content":"V"},{"role":"system","content":[
      {"type":"tool_addition","tool":{"type":"tool_reference","name":"fetch"}},
      {"type":"tool_addition","tool":{"type":"tool_definition","definition":{"name":"late","input_schema":{"type":"object"}}}},
      {"type":"tool_removal","tool":{"type":"tool_reference","name":"write"}}]})");
  EXPECT_EQ(names(request), "search 0; fetch (deferred) 1; write (gone) 2; late (deferred) 3; ");
  const std::string& said = request.conversation.messages.back().content;
  EXPECT_NE(said.find(R"("name":"fetch")"), std::string::npos);
  EXPECT_NE(said.find(R"("name":"late")"), std::string::npos);
  EXPECT_NE(said.find("The tool write is gone"), std::string::npos);
}

std::string turn(const std::string& kind, const std::string& tool) {
  return R"({"role":"user","content":"V"},{"role":"system","content":[{"type":")" + kind + R"(","tool":)" +
         tool + "}]}";
}

constexpr const char* kWrite = R"({"type":"tool_reference","name":"write"})";
constexpr const char* kBegun = R"({"role":"user","content":"U"},{"role":"assistant","content":"A"},)";

TEST(DeferredTools, AToolThatIsAddedAgainIsThereAgain) {
  const std::string removed = kBegun + turn("tool_removal", kWrite);
  EXPECT_EQ(names(parsed(removed)), "search 0; write (gone) 2; ");
  EXPECT_EQ(names(parsed(removed + "," + turn("tool_addition", kWrite))), "search 0; write 2; ");
}

TEST(DeferredTools, AToolThatIsGoneIsNotFoundBySearching) {
  const ChatRequest request =
      parsed(kBegun + turn("tool_removal", R"({"type":"tool_reference","name":"fetch"})") + "," + kFound);
  EXPECT_EQ(request.conversation.messages.back().content, "The tool fetch is not there any more.");
}

TEST(DeferredTools, ARemovedMcpToolOfTheSameNameIsAnother) {
  EXPECT_EQ(names(parsed(kBegun + turn("tool_removal",
                                       R"({"type":"mcp_tool_reference","server_name":"s","name":"write"})"))),
            "search 0; write 2; ");
}

TEST(DeferredTools, ACompactionCarriesTheChangesOfWhatItSumsUp) {
  const ChatRequest request =
      parsed(R"({"role":"user","content":[{"type":"compaction","content":"Summary.","tool_changes":[
      {"type":"tool_addition","tool":{"type":"tool_reference","name":"fetch"}},
      {"type":"tool_removal","tool":{"type":"tool_reference","name":"write"}}]},{"type":"text","text":"U"}]})");
  EXPECT_EQ(names(request), "search 0; fetch (deferred) 1; write (gone) 2; ");
  const std::string& said = request.conversation.messages.back().content;
  EXPECT_TRUE(said.starts_with("Summary.\nThe tool fetch can be called")) << said;
  EXPECT_NE(said.find("The tool write is gone"), std::string::npos);
}

TEST(DeferredTools, AToolThatIsGoneCannotBeForced) {
  const auto request = parse_anthropic_messages(
      R"({"max_tokens":1,"tool_choice":{"type":"tool","name":"write"},"messages":[)" + std::string(kBegun) +
      turn("tool_removal", kWrite) + "]," + kTools + "}");
  ASSERT_FALSE(request.ok());
  EXPECT_EQ(request.error().message, "tool_choice.name: \"write\" was taken away by a tool_removal");
}

TEST(DeferredTools, MalformedBlocksAreNothing) {
  const ChatRequest request =
      parsed(R"({"role":"user","content":[{"type":"tool_addition"},{"type":"tool_addition","tool":3},
    {"type":"tool_addition","tool":{"definition":[]}},{"type":"text","text":"U"}]})");
  EXPECT_EQ(request.conversation.messages.back().content, "U");
}

}  // namespace
}  // namespace kvasir::api
