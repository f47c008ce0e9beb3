#include <gtest/gtest.h>

#include "api/anthropic_messages.h"
#include "api/openai_chat.h"
#include "api/response_builder.h"

namespace kvasir::api {
namespace {

using chat::Effort;

ChatRequest openai(const std::string& fields) {
  auto parsed = parse_openai_chat(R"({"messages":[{"role":"user","content":"U"}],)" + fields + "}");
  EXPECT_TRUE(parsed.ok()) << parsed.error().message;
  return parsed.ok() ? *parsed : ChatRequest();
}
ChatRequest anthropic(const std::string& fields) {
  auto parsed = parse_anthropic_messages(R"({"max_tokens":9,"messages":[{"role":"user","content":"U"}],)" +
                                         fields + "}");
  EXPECT_TRUE(parsed.ok()) << parsed.error().message;
  return parsed.ok() ? *parsed : ChatRequest();
}
// What the wish says: switch, effort, budget.
std::string wish(const ChatRequest& request) {
  const chat::ThinkingWish& w = request.conversation.thinking;
  return std::string(w.enabled ? (*w.enabled ? "on" : "off") : "-") + " " +
         (w.effort ? std::to_string(static_cast<int>(*w.effort)) : "-") + " " +
         (w.max_tokens ? std::to_string(*w.max_tokens) : "-");
}

TEST(ReasoningOptions, EveryNameOfTheSameWish) {
  EXPECT_EQ(wish(openai(R"("n":1)")), "- - -");
  EXPECT_EQ(wish(openai(R"("reasoning_effort":"low")")), "on 2 -");
  EXPECT_EQ(wish(openai(R"("reasoning_effort":"none")")), "off 0 -");
  EXPECT_EQ(wish(openai(R"("reasoning":{"effort":"xhigh"})")), "on 5 -");
  EXPECT_EQ(wish(openai(R"("reasoning":{"enabled":false})")), "off - -");
  EXPECT_EQ(wish(openai(R"("reasoning":{"max_tokens":100})")), "- - 100");
  EXPECT_EQ(wish(openai(R"("enable_thinking":true,"thinking_budget":5)")), "on - 5");
  for (const char* key : {"max_reasoning_tokens", "thinking_budget", "reasoning_budget",
                          "thinking_budget_tokens", "thinking_token_budget"}) {
    EXPECT_EQ(wish(openai("\"" + std::string(key) + "\":64")), "- - 64") << key;
    EXPECT_EQ(wish(openai("\"" + std::string(key) + "\":-1")), "- - -") << key;
    EXPECT_EQ(wish(openai("\"" + std::string(key) + "\":0")), "off - 0") << key;
  }
}

TEST(ReasoningOptions, TemplateVariablesAreKeptAndUnderstood) {
  const ChatRequest request = openai(R"("chat_template_kwargs":{"enable_thinking":false,"x":1})");
  EXPECT_EQ(wish(request), "off - -");
  EXPECT_EQ(boost::json::serialize(request.conversation.template_options),
            R"({"enable_thinking":false,"x":1})");
  EXPECT_EQ(wish(openai(R"("chat_template_kwargs":{"thinking":true})")), "on - -");
}

TEST(ReasoningOptions, SayingTheSameTwiceIsFine) {
  EXPECT_EQ(wish(openai(R"("reasoning_effort":"high","reasoning":{"effort":"high","enabled":true},)"
                        R"("enable_thinking":true,"thinking_budget":7,"max_reasoning_tokens":7)")),
            "on 4 7");
}

TEST(ReasoningOptions, WhatIsWrongIsNamed) {
  const auto error = [](const std::string& fields) {
    const auto parsed = parse_openai_chat(R"({"messages":[{"role":"user","content":"U"}],)" + fields + "}");
    return parsed.ok() ? std::string("taken") : parsed.error().message;
  };
  EXPECT_EQ(error(R"("reasoning_effort":"hard")"),
            "reasoning_effort: \"hard\" is not one of none, minimal, low, medium, high, xhigh, max");
  EXPECT_EQ(error(R"("reasoning":{"effort":"hard"})"),
            "reasoning.effort: \"hard\" is not one of none, minimal, low, medium, high, xhigh, max");
  EXPECT_EQ(error(R"("reasoning_effort":"low","enable_thinking":false)"),
            "enable_thinking: contradicts reasoning_effort");
  EXPECT_EQ(error(R"("max_reasoning_tokens":5,"reasoning_budget":6)"),
            "reasoning_budget: contradicts max_reasoning_tokens");
  EXPECT_EQ(error(R"("max_reasoning_tokens":-2)"),
            "max_reasoning_tokens: must be between -1 and 2147483647, not -2");
  EXPECT_EQ(error(R"("include_reasoning":true,"reasoning":{"exclude":true})"),
            "include_reasoning: contradicts reasoning.exclude");
  EXPECT_EQ(error(R"("reasoning_format":"xml")"),
            "reasoning_format: \"xml\" is not one of none, auto, deepseek");
  EXPECT_EQ(error(R"("reasoning":"high")"), "reasoning: must be an object");
}

TEST(ReasoningOptions, HowThoughtsAreShown) {
  const auto shown = [](const std::string& fields) {
    const ThoughtsShown s = openai(fields).options.thoughts;
    return std::string(s.hidden ? "hidden " : "") + (s.in_content ? "in_content " : "") +
           (s.as_reasoning ? "as_reasoning" : "");
  };
  EXPECT_EQ(shown(R"("n":1)"), "");
  EXPECT_EQ(shown(R"("include_reasoning":false)"), "hidden ");
  EXPECT_EQ(shown(R"("reasoning":{"exclude":true})"), "hidden ");
  EXPECT_EQ(shown(R"("include_reasoning":true)"), "as_reasoning");
  EXPECT_EQ(shown(R"("reasoning":{"effort":"low"})"), "as_reasoning");
  EXPECT_EQ(shown(R"("reasoning_format":"none")"), "in_content ");
  EXPECT_EQ(shown(R"("reasoning_format":"deepseek")"), "");
}

TEST(ReasoningOptions, Anthropic) {
  EXPECT_EQ(wish(anthropic(R"("thinking":{"type":"enabled","budget_tokens":2048})")), "on - 2048");
  EXPECT_EQ(wish(anthropic(R"("thinking":{"type":"disabled"})")), "off - -");
  EXPECT_EQ(wish(anthropic(R"("thinking":{"type":"adaptive"},"output_config":{"effort":"max"})")), "- 6 -");
  EXPECT_TRUE(anthropic(R"("thinking":{"type":"adaptive","display":"omitted"})").options.thoughts.hidden);
  EXPECT_FALSE(anthropic(R"("thinking":{"type":"adaptive","display":"updates"})").options.thoughts.hidden);
  for (const auto& [fields, subject] : std::vector<std::pair<std::string, std::string>>{
           {R"("thinking":{"type":"sometimes"})", "thinking.type"},
           {R"("thinking":{"type":"enabled"})", "thinking.budget_tokens"},
           {R"("thinking":{"type":"adaptive","display":"loud"})", "thinking.display"},
           {R"("output_config":{"effort":"hard"})", "output_config.effort"}}) {
    const auto parsed = parse_anthropic_messages(
        R"({"max_tokens":9,"messages":[{"role":"user","content":"U"}],)" + fields + "}");
    ASSERT_FALSE(parsed.ok()) << fields;
    EXPECT_EQ(parsed.error().subject, subject);
  }
}

ResponseOptions options(bool stream, ThoughtField thoughts) {
  ResponseOptions made;
  made.stream = stream;
  made.thoughts = thoughts;
  made.token_bytes = [](TokenId) { return std::string_view("x"); };
  return made;
}

boost::json::object message_of(ThoughtField thoughts) {
  const auto builder = make_openai_chat_response(options(false, thoughts));
  (void)builder->opened();
  (void)builder->started(0, {10, 4});
  (void)builder->output(0, std::vector<chat::OutputEvent>{chat::ReasoningDelta{"h"}, chat::TextDelta{"Hi"}},
                        {});
  builder->reasoned(0, 2);
  (void)builder->finished(0, {engine::FinishReason::kStop, "", {10, 4, 3}, 0, 0, 0});
  return boost::json::parse(builder->body()).as_object();
}

TEST(ReasoningFields, OfAWholeAnswer) {
  const auto field = [](ThoughtField thoughts, const char* name) {
    const auto body = message_of(thoughts);
    const auto& message = body.at("choices").at(0).at("message").as_object();
    return message.contains(name) ? std::string(message.at(name).as_string()) : "absent";
  };
  EXPECT_EQ(field(ThoughtField::kReasoningContent, "reasoning_content"), "h");
  EXPECT_EQ(field(ThoughtField::kReasoningContent, "reasoning"), "absent");
  EXPECT_EQ(field(ThoughtField::kReasoning, "reasoning"), "h");
  EXPECT_EQ(field(ThoughtField::kReasoning, "reasoning_content"), "absent");
  EXPECT_EQ(field(ThoughtField::kBoth, "reasoning"), "h");
  EXPECT_EQ(field(ThoughtField::kBoth, "reasoning_content"), "h");
  EXPECT_EQ(field(ThoughtField::kHidden, "reasoning_content"), "absent");
  EXPECT_EQ(field(ThoughtField::kHidden, "reasoning"), "absent");
  EXPECT_EQ(field(ThoughtField::kHidden, "content"), "Hi");
}

TEST(ReasoningFields, UsageTellsTheTokensOfThoughts) {
  EXPECT_EQ(
      boost::json::serialize(message_of(ThoughtField::kHidden).at("usage").at("completion_tokens_details")),
      R"({"reasoning_tokens":2})");
}

TEST(ReasoningFields, HiddenThoughtsMakeNoChunk) {
  const std::vector<chat::OutputEvent> thought{chat::ReasoningDelta{"h"}};
  EXPECT_EQ(make_openai_chat_response(options(true, ThoughtField::kHidden))->output(0, thought, {}), "");
  EXPECT_NE(make_openai_chat_response(options(true, ThoughtField::kReasoning))
                ->output(0, thought, {})
                .find(R"("delta":{"reasoning":"h"})"),
            std::string::npos);
}

// A block with its signature, as the API has it, but without the words.
TEST(ReasoningFields, OmittedAnthropicThoughtIsAnEmptyBlock) {
  const auto builder = make_anthropic_response(options(true, ThoughtField::kHidden));
  (void)builder->started(0, {10, 4});
  std::string out = builder->output(
      0, std::vector<chat::OutputEvent>{chat::ReasoningDelta{"secret"}, chat::TextDelta{"Hi"}}, {});
  EXPECT_EQ(out.find("secret"), std::string::npos);
  EXPECT_EQ(out.find("thinking_delta"), std::string::npos);
  EXPECT_NE(out.find("signature_delta"), std::string::npos);
}

}  // namespace
}  // namespace kvasir::api
