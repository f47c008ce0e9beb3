#include "chat/prompt.h"

#include <gtest/gtest.h>

#include "text/models.h"

namespace kvasir::chat {
namespace {

namespace json = boost::json;

PromptRenderer renderer_of(const text::Model& model) {
  const auto source = model.file->string("tokenizer.chat_template");
  EXPECT_TRUE(source.has_value());
  auto compiled = text::ChatTemplate::compile(*source);
  EXPECT_TRUE(compiled.ok());
  return PromptRenderer(*compiled, model.tokenizer, 0);
}

const PromptRenderer& qwen_renderer() {
  static const PromptRenderer renderer = renderer_of(text::qwen());
  return renderer;
}
const PromptRenderer& smol_renderer() {
  static const PromptRenderer renderer = renderer_of(text::smol());
  return renderer;
}

Message turn(Role role, std::string content) {
  Message message;
  message.role = role;
  message.content = std::move(content);
  return message;
}

Conversation weather() {
  Conversation conversation;
  conversation.messages = {turn(Role::kSystem, "Be brief."), turn(Role::kUser, "Weather in Oslo?")};
  Message call = turn(Role::kAssistant, "");
  call.tool_calls = {{"call_1", "get_weather", "{\"b\":1.0,  \"city\":\"\\u004fslo\"}"}};
  conversation.messages.push_back(std::move(call));
  Message result = turn(Role::kTool, "4 degrees");
  result.tool_call_id = "call_1";
  conversation.messages.push_back(std::move(result));
  conversation.tools = {{"get_weather", "Weather of a city",
                         json::parse(R"({"type":"object","properties":{"city":{"type":"string"}}})")}};
  return conversation;
}

// Of a template that opens a thought for every answer, and leaves old ones out.
PromptRenderer opens_thoughts() {
  auto compiled = text::ChatTemplate::compile(
      "{% for m in messages %}{{ m.content.split('</think>')[-1] }}{% endfor %}{% if add_generation_prompt %}"
      "{{ '<think>\n' }}{% endif %}");
  EXPECT_TRUE(compiled.ok());
  return {*compiled, text::qwen().tokenizer, 0};
}

std::string text_of(const PromptRenderer& renderer, const Conversation& conversation) {
  auto prompt = renderer.render(conversation);
  EXPECT_TRUE(prompt.ok()) << prompt.error().message;
  return prompt.ok() ? prompt->text : std::string();
}

TEST(TemplateTraits, QwenTemplateIsHermesWithToolsAndSystemAnywhere) {
  const TemplateTraits& traits = qwen_renderer().traits();
  EXPECT_EQ(traits.format.name, "hermes");
  EXPECT_TRUE(traits.renders_tools);
  EXPECT_TRUE(traits.renders_system);
  EXPECT_TRUE(traits.renders_mid_system);
  EXPECT_FALSE(traits.reasoning.known());
}

TEST(TemplateTraits, SmolTemplateHasNoTools) {
  const TemplateTraits& traits = smol_renderer().traits();
  EXPECT_FALSE(traits.renders_tools);
  EXPECT_TRUE(traits.renders_mid_system);
}

// Oracle: the same conversation through transformers' apply_chat_template with the model's own template, its
// numbers normalised (1.0 is 1).
TEST(PromptRenderer, QwenToolTurnsRenderAsTheTemplateHasThem) {
  const std::string text = text_of(qwen_renderer(), weather());
  EXPECT_EQ(
      text,
      "<|im_start|>system\nBe brief.\n\n# Tools\n\nYou may call one or more functions to assist with the "
      "user "
      "query.\n\nYou are provided with function signatures within <tools></tools> XML tags:\n<tools>\n"
      "{\"type\": \"function\", \"function\": {\"name\": \"get_weather\", \"description\": \"Weather of a "
      "city\", \"parameters\": {\"type\": \"object\", \"properties\": {\"city\": {\"type\": \"string\"}}}}}\n"
      "</tools>\n\nFor each function call, return a json object with function name and arguments within "
      "<tool_call></tool_call> XML tags:\n<tool_call>\n{\"name\": <function-name>, \"arguments\": "
      "<args-json-object>}\n</tool_call><|im_end|>\n<|im_start|>user\nWeather in Oslo?<|im_end|>\n"
      "<|im_start|>assistant\n<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"b\": 1, \"city\": "
      "\"Oslo\"}}\n</tool_call><|im_end|>\n<|im_start|>user\n<tool_response>\n4 degrees\n</tool_response>"
      "<|im_end|>\n<|im_start|>assistant\n");
}

TEST(PromptRenderer, TemplateWithoutToolsGetsThemInTheSystemTurn) {
  const std::string text = text_of(smol_renderer(), weather());
  EXPECT_NE(text.find("Be brief.\n\n# Tools"), std::string::npos);
  EXPECT_NE(text.find("\"name\":\"get_weather\""), std::string::npos);
  EXPECT_NE(text.find("<tool_call>\n{\"name\": \"get_weather\", \"arguments\": "), std::string::npos);
  EXPECT_NE(text.find("<|im_start|>user\n<tool_response>\n4 degrees\n</tool_response><|im_end|>"),
            std::string::npos);
}

TEST(PromptRenderer, ToolChoiceDoesNotChangeThePrompt) {
  Conversation conversation = weather();
  const std::string automatic = text_of(qwen_renderer(), conversation);
  conversation.tool_choice.kind = ToolChoice::Kind::kNone;
  EXPECT_EQ(text_of(qwen_renderer(), conversation), automatic);
}

TEST(PromptRenderer, MidConversationSystemTurnStaysInPlace) {
  Conversation conversation;
  conversation.messages = {turn(Role::kUser, "One"), turn(Role::kAssistant, "Two"),
                           turn(Role::kSystem, "NOTE"), turn(Role::kUser, "Three")};
  EXPECT_NE(text_of(qwen_renderer(), conversation)
                .find("Two<|im_end|>\n<|im_start|>system\nNOTE<|im_end|>\n<|im_start|>user\nThree"),
            std::string::npos);
}

TEST(PromptRenderer, MidConversationSystemTurnBecomesAReminderWhereTheTemplateRefusesIt) {
  TemplateTraits traits = qwen_renderer().traits();
  traits.renders_mid_system = false;
  Conversation conversation;
  conversation.messages = {turn(Role::kSystem, "A"),    turn(Role::kSystem, "B"),
                           turn(Role::kUser, "One"),    turn(Role::kAssistant, "Two"),
                           turn(Role::kSystem, "NOTE"), turn(Role::kUser, "Three")};
  const json::object context = template_context(conversation, traits);
  EXPECT_EQ(json::serialize(context.at("messages")),
            R"([{"role":"system","content":"A\n\nB"},{"role":"user","content":"One"},)"
            R"({"role":"assistant","content":"Two"},)"
            R"({"role":"user","content":"<system-reminder>\nNOTE\n</system-reminder>\n\nThree"}])");
}

// What came earlier never changes when the conversation grows: the cached prefix depends on it.
TEST(PromptRenderer, LongerConversationBeginsWithTheShorterOne) {
  Conversation conversation = weather();
  const std::vector<Message> all = conversation.messages;
  for (const PromptRenderer* renderer : {&qwen_renderer(), &smol_renderer()}) {
    conversation.messages = {all[0], all[1]};
    const std::string shorter = text_of(*renderer, conversation);
    conversation.messages = all;
    EXPECT_EQ(text_of(*renderer, conversation).substr(0, shorter.size()), shorter);
  }
}

TEST(PromptRenderer, FailedResultSaysSo) {
  Conversation conversation = weather();
  conversation.messages.back().is_error = true;
  EXPECT_NE(text_of(qwen_renderer(), conversation).find("Error: 4 degrees"), std::string::npos);
}

TEST(PromptRenderer, BegunAnswerStandsBehindTheOpeningOfItsTurn) {
  Conversation conversation;
  conversation.messages = {turn(Role::kUser, "Colours as JSON?")};
  const auto asked = qwen_renderer().render(conversation);
  conversation.messages.push_back(turn(Role::kAssistant, "{\"colours\": [ \n"));
  conversation.continues_answer = true;
  const auto begun = qwen_renderer().render(conversation);
  ASSERT_TRUE(asked.ok() && begun.ok());
  EXPECT_EQ(begun->text, asked->text + "{\"colours\": [");
  EXPECT_TRUE(std::equal(asked->tokens.begin(), asked->tokens.end(), begun->tokens.begin()));
  EXPECT_TRUE(asked->recordable);
  EXPECT_FALSE(begun->recordable);
  const auto parts = qwen_renderer().parts(conversation, *begun);
  ASSERT_EQ(parts.size(), 1U);  // of the question: the answer is none yet
  EXPECT_EQ(parts[0].name, "messages[0]");
}

TEST(PromptRenderer, BegunAnswerClosesTheThoughtThatItsTemplateOpens) {
  const PromptRenderer renderer = opens_thoughts();
  Conversation conversation;
  conversation.messages = {turn(Role::kUser, "One"), turn(Role::kAssistant, "Tw")};
  conversation.continues_answer = true;
  const auto prompt = renderer.render(conversation);
  ASSERT_TRUE(prompt.ok());
  EXPECT_FALSE(prompt->opens_reasoning);
  EXPECT_TRUE(prompt->closes_reasoning);
  EXPECT_EQ(prompt->text, "One<think>\n</think>Tw");
}

TEST(PromptRenderer, SystemIsFoldedIntoTheUserTurnWhereTheTemplateHasNone) {
  TemplateTraits traits = qwen_renderer().traits();
  traits.renders_system = traits.renders_mid_system = false;
  Conversation conversation;
  conversation.messages = {turn(Role::kSystem, "A"), turn(Role::kUser, "One")};
  EXPECT_EQ(json::serialize(template_context(conversation, traits).at("messages")),
            R"([{"role":"user","content":"A\n\nOne"}])");
}

TEST(PromptRenderer, OpenThoughtIsNoticed) {
  const PromptRenderer renderer = opens_thoughts();
  Conversation conversation;
  conversation.messages = {turn(Role::kUser, "One")};
  auto prompt = renderer.render(conversation);
  ASSERT_TRUE(prompt.ok());
  EXPECT_TRUE(prompt->opens_reasoning);
}

}  // namespace
}  // namespace kvasir::chat
