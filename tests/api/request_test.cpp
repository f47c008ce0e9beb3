#include <gtest/gtest.h>

#include "api/anthropic_messages.h"
#include "api/openai_chat.h"
#include "api/openai_completions.h"

namespace kvasir::api {
namespace {

namespace json = boost::json;
using chat::Role;
using chat::ToolChoice;

ChatRequest openai(const std::string& body) {
  auto parsed = parse_openai_chat(body);
  EXPECT_TRUE(parsed.ok()) << parsed.error().message;
  return parsed.ok() ? *parsed : ChatRequest();
}
ChatRequest anthropic(const std::string& body) {
  auto parsed = parse_anthropic_messages(body);
  EXPECT_TRUE(parsed.ok()) << parsed.error().message;
  return parsed.ok() ? *parsed : ChatRequest();
}

// Roles and contents, one a line.
std::string outline(const chat::Conversation& conversation) {
  std::string text;
  for (const chat::Message& message : conversation.messages) {
    text += std::string("SUAT").substr(static_cast<std::size_t>(message.role), 1) + ":" + message.content;
    for (const chat::ToolCall& call : message.tool_calls)
      text += " [" + call.id + " " + call.name + call.arguments + "]";
    if (!message.tool_call_id.empty()) text += " (" + message.tool_call_id + " " + message.name + ")";
    if (message.is_error) text += "!";
    if (!message.reasoning.empty()) text += " {" + message.reasoning + "}";
    text += "\n";
  }
  return text;
}

TEST(OpenAiChatRequest, AllRolesAndContentForms) {
  const ChatRequest request = openai(R"({"messages":[
    {"role":"system","content":"A"},{"role":"developer","content":[{"type":"text","text":"B"},{"type":"text","text":"C"}]},
    {"role":"user","content":"U"},
    {"role":"assistant","content":null,"reasoning_content":"R","tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a\": 1}"}}]},
    {"role":"tool","tool_call_id":"c1","content":"result"},
    {"role":"assistant","content":""}]})");
  EXPECT_EQ(outline(request.conversation),
            "S:A\nS:B\nC\nU:U\nA: [c1 f{\"a\": 1}] {R}\nT:result (c1 f)\nA:\n");
}

TEST(OpenAiChatRequest, Options) {
  const ChatRequest request =
      openai(R"({"model":"m","messages":[{"role":"user","content":"U"}],"temperature":0.5,
    "top_p":0.9,"top_k":40.0,"min_p":0.05,"repetition_penalty":1.1,"presence_penalty":-1,"frequency_penalty":1,
    "logit_bias":{"5":-100},"seed":-1,"stop":["a","","b"],"max_tokens":7,"n":3,"logprobs":true,"top_logprobs":2,
    "stream":true,"stream_options":{"include_usage":true,"x":1},"cache_prompt":false,"user":"u","metadata":{},
    "store":null,"chat_template_kwargs":{"enable_thinking":false}})");
  const GenerationOptions& options = request.options;
  EXPECT_EQ(options.model, "m");
  EXPECT_FLOAT_EQ(options.sampling.temperature, 0.5F);
  EXPECT_EQ(options.sampling.top_k, 40);
  EXPECT_FLOAT_EQ(options.sampling.min_p, 0.05F);
  EXPECT_FLOAT_EQ(options.sampling.logit_bias.at(5), -100.0F);
  EXPECT_TRUE(options.seed_given);
  EXPECT_EQ(options.sampling.seed, ~0ULL);
  EXPECT_EQ(options.stop, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(options.max_tokens, 7U);
  EXPECT_EQ(options.n, 3U);
  EXPECT_EQ(options.logprobs, 2U);
  EXPECT_TRUE(options.stream && options.include_usage && !options.use_cache);
  EXPECT_FALSE(request.conversation.template_options.at("enable_thinking").as_bool());
}

TEST(OpenAiChatRequest, WhatClientsSendBesideTheBookIsTolerated) {
  const ChatRequest request = openai(R"({"messages":[{"role":"user","content":"U"},
    {"role":"assistant","reasoning":{"effort":"low"},"tool_calls":[{"function":{"name":"f","arguments":{"a":1}}}]},
    {"role":"tool","content":null}],"tools":[{"function":{"name":"f"}}],"tool_choice":{"type":"required"}})");
  EXPECT_EQ(outline(request.conversation), "U:U\nA: [ f{\"a\":1}]\nT:\n");
  EXPECT_EQ(request.conversation.tool_choice.kind, ToolChoice::Kind::kRequired);
}

TEST(OpenAiChatRequest, NullFieldsAreAbsent) {
  const ChatRequest request =
      openai(R"({"messages":[{"role":"user","content":"U"}],"temperature":null,"stop":null,
    "tools":null,"tool_choice":null,"response_format":null,"logit_bias":null,"max_tokens":null,"seed":null})");
  EXPECT_FALSE(request.options.max_tokens.has_value());
  EXPECT_FALSE(request.options.seed_given);
}

TEST(OpenAiChatRequest, ToolsKeepTheirKeyOrder) {
  const ChatRequest request = openai(R"({"messages":[{"role":"user","content":"U"}],"tools":[
    {"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object","properties":{"z":{},"a":{}}}}},
    {"type":"web_search"}],"tool_choice":{"type":"function","function":{"name":"f"}},"parallel_tool_calls":false})");
  ASSERT_EQ(request.conversation.tools.size(), 1U);
  EXPECT_EQ(json::serialize(request.conversation.tools[0].parameters),
            R"({"type":"object","properties":{"z":{},"a":{}}})");
  EXPECT_EQ(request.conversation.tool_choice.kind, ToolChoice::Kind::kNamed);
  EXPECT_EQ(request.conversation.tool_choice.name, "f");
  EXPECT_FALSE(request.conversation.parallel_tool_calls);
}

TEST(OpenAiCompletionsRequest, PromptForms) {
  const auto prompts = [](const std::string& prompt) {
    auto parsed = parse_openai_completions("{\"prompt\":" + prompt + "}");
    EXPECT_TRUE(parsed.ok());
    return parsed->prompts;
  };
  EXPECT_EQ(prompts("\"a\"").size(), 1U);
  EXPECT_EQ(prompts("[\"a\",\"b\"]").size(), 2U);
  EXPECT_EQ(std::get<std::vector<TokenId>>(prompts("[1,2]")[0]), (std::vector<TokenId>{1, 2}));
  EXPECT_EQ(std::get<std::vector<TokenId>>(prompts("[[1],[2,3]]")[1]), (std::vector<TokenId>{2, 3}));
}

TEST(OpenAiCompletionsRequest, SixteenTokensWhenNothingIsSaid) {
  EXPECT_EQ(parse_openai_completions(R"({"prompt":"a"})")->options.max_tokens, 16U);
}

TEST(AnthropicRequest, WhatClaudeCodeSends) {
  const ChatRequest request =
      anthropic(R"({"model":"m","max_tokens":32000,"stream":true,"metadata":{"user_id":"x"},
    "thinking":{"type":"adaptive"},"context_management":{"edits":[]},"output_config":{"effort":"high"},
    "system":[{"type":"text","text":"x-anthropic-billing-header: cc_version=2; cc_entrypoint=cli;"},
              {"type":"text","text":"You are helpful.","cache_control":{"type":"ephemeral"}},{"type":"text","text":"More."}],
    "tools":[{"name":"Bash","description":"d","input_schema":{"type":"object"}},{"type":"web_search_20250305","name":"web_search"}],
    "messages":[
      {"role":"user","content":[{"type":"text","text":"<system-reminder>r</system-reminder>"},{"type":"text","text":"List","cache_control":{"type":"ephemeral"}}]},
      {"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"s"},{"type":"redacted_thinking","data":"x"},{"type":"text","text":"Ok."},{"type":"tool_use","id":"t1","name":"Bash","input":{"command":"ls"}}]},
      {"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":[{"type":"text","text":"a"},{"type":"image","source":{}}],"is_error":true},{"type":"text","text":"Go on"}]},
      {"role":"system","content":"Note."},
      {"role":"user","content":"Yes"}]})");
  EXPECT_EQ(outline(request.conversation),
            "S:You are helpful.\n\nMore.\nU:<system-reminder>r</system-reminder>\nList\n"
            "A:Ok. [t1 Bash{\"command\":\"ls\"}]\n"
            "T:a\n[image omitted: this model reads text only] (t1 Bash)!\nU:Go on\nS:Note.\nU:Yes\n");
  EXPECT_EQ(request.conversation.tools.size(), 1U);
  EXPECT_EQ(request.warnings,
            (std::vector<std::string>{
                "1 thinking blocks are left out, the first messages.1.content.0: not signed by this server",
                "tools[1]: \"web_search_20250305\" is left out, this server cannot run it"}));
  // Adaptive: whether it thinks is the model's business.
  EXPECT_FALSE(request.conversation.thinking.enabled.has_value());
  EXPECT_EQ(request.conversation.thinking.effort, chat::Effort::kHigh);
  EXPECT_EQ(request.options.max_tokens, 32000U);
}

TEST(AnthropicRequest, LastTextOfTheAssistantIsGoneOnFrom) {
  const auto continues = [](const char* last) {
    const auto request = anthropic(
        std::string(R"({"max_tokens":9,"messages":[{"role":"user","content":"Hi"},)") + last + "]}");
    return request.conversation.continues_answer;
  };
  EXPECT_TRUE(continues(R"({"role":"assistant","content":"Hel"})"));
  EXPECT_TRUE(continues(R"({"role":"assistant","content":[{"type":"text","text":"Hel"}]})"));
  EXPECT_FALSE(continues(R"({"role":"assistant","content":""})"));
  EXPECT_FALSE(continues(R"({"role":"user","content":"Hel"})"));
  EXPECT_FALSE(continues(
      R"({"role":"assistant","content":[{"type":"text","text":"x"},{"type":"tool_use","id":"1","name":"f","input":{}}]})"));
}

TEST(AnthropicRequest, AttributionDoesNotReachThePrompt) {
  const auto with = [](const std::string& version) {
    return outline(
        anthropic(R"({"max_tokens":1,"system":[{"type":"text","text":"x-anthropic-billing-header: )" +
                  version + R"("},{"type":"text","text":"S"}],"messages":[{"role":"user","content":"U"}]})")
            .conversation);
  };
  EXPECT_EQ(with("cc_version=1"), with("cc_version=2"));
}

TEST(AnthropicRequest, ToolChoice) {
  const auto choice = [](const std::string& value) {
    return anthropic(
               R"({"max_tokens":1,"messages":[{"role":"user","content":"U"}],"tools":[{"name":"f"}],"tool_choice":)" +
               value + "}")
        .conversation;
  };
  EXPECT_EQ(choice(R"({"type":"auto","disable_parallel_tool_use":true})").parallel_tool_calls, false);
  EXPECT_EQ(choice(R"({"type":"any"})").tool_choice.kind, ToolChoice::Kind::kRequired);
  EXPECT_EQ(choice(R"({"type":"none"})").tool_choice.kind, ToolChoice::Kind::kNone);
  EXPECT_EQ(choice(R"({"type":"tool","name":"f"})").tool_choice.name, "f");
}

TEST(AnthropicRequest, CountTokensNeedsNoMaxTokens) {
  EXPECT_TRUE(parse_anthropic_count_tokens(R"({"messages":[{"role":"user","content":"U"}]})").ok());
}

}  // namespace
}  // namespace kvasir::api
