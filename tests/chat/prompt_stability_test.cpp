// What does not change a prompt's tokens, and where its parts begin.

#include <gtest/gtest.h>

#include <random>

#include "chat/prompt.h"
#include "text/models.h"

namespace kvasir::chat {
namespace {

namespace json = boost::json;

// Llama 3.1's way with tools: pretty-printed, in the first question.
constexpr const char* kLlamaTools =
    "{% for m in messages %}{{ '<|object_ref_start|>' + m.role + '<|object_ref_end|>\n\n' }}"
    "{% if loop.first and tools %}{% for t in tools %}{{ t|tojson(indent=4) + '\n\n' }}{% endfor %}{% endif "
    "%}"
    "{% if m.tool_calls %}{{ m.tool_calls[0].function|tojson }}{% else %}{{ m.content|trim }}{% endif %}"
    "{{ '<|im_end|>' }}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|object_ref_start|>assistant<|object_ref_end|>\n\n' }}{% endif %}";

Message turn(Role role, std::string content) {
  Message message;
  message.role = role;
  message.content = std::move(content);
  return message;
}

Conversation conversation_of(const char* schema, const char* arguments) {
  Conversation conversation;
  conversation.messages = {turn(Role::kSystem, "Be brief."), turn(Role::kUser, "Weather in Málaga?")};
  Message call = turn(Role::kAssistant, "");
  call.tool_calls = {{"call_1", "get_weather", arguments}};
  Message result = turn(Role::kTool, "4 degrees");
  result.tool_call_id = "call_1";
  conversation.messages.push_back(std::move(call));
  conversation.messages.push_back(std::move(result));
  conversation.tools = {{"get_weather", "Weather", json::parse(schema)}};
  return conversation;
}

std::vector<PromptRenderer> renderers() {
  std::vector<PromptRenderer> list;
  const auto add = [&list](std::string_view source, const text::Model& model) {
    auto compiled = text::ChatTemplate::compile(source);
    ASSERT_TRUE(compiled.ok());
    list.emplace_back(*compiled, model.tokenizer, 0);
  };
  add(*text::qwen().file->string("tokenizer.chat_template"), text::qwen());
  add(*text::smol().file->string("tokenizer.chat_template"), text::smol());
  add(kLlamaTools, text::qwen());
  return list;
}

TEST(PromptStability, CosmeticChangesInTheClientsJson) {
  const Conversation one = conversation_of(
      R"({"type":"object","properties":{"city":{"type":"string","enum":["Málaga"]},"n":{"maximum":14.0}}})",
      R"({"city":"Málaga","n":1.0})");
  const Conversation two = conversation_of(
      "{ \"type\" : \"object\",\n \"properties\": {\"city\": {\"type\": \"string\", \"enum\": "
      "[\"M\\u00e1laga\"]}, "
      "\"n\": {\"maximum\": 14}}}",
      "{\n  \"city\": \"M\\u00e1laga\",\n  \"n\": 1\n}");
  for (const PromptRenderer& renderer : renderers()) {
    const auto first = renderer.render(one);
    const auto second = renderer.render(two);
    ASSERT_TRUE(first.ok() && second.ok());
    EXPECT_EQ(first->text, second->text);
    EXPECT_EQ(first->tokens, second->tokens);
  }
}

TEST(PromptStability, OrderOfToolsAndKeysIsTheClients) {
  Conversation conversation = conversation_of(R"({"z":1,"a":2})", R"({"z":1,"a":2})");
  conversation.tools.push_back({"another", "First by name", json::object()});
  for (const PromptRenderer& renderer : renderers()) {
    const auto prompt = renderer.render(conversation);
    ASSERT_TRUE(prompt.ok());
    EXPECT_LT(prompt->text.find("get_weather"), prompt->text.find("another"));
    EXPECT_LT(prompt->text.find("\"z\""), prompt->text.find("\"a\""));
  }
}

// Cut before a special token, text becomes the same tokens in pieces as in one: what remembers tokens of
// pieces, and what puts sampled tokens between them, rests on it.
TEST(PromptStability, PiecesBetweenSpecialTokensAreTokenisedAlone) {
  const std::vector<std::string> words = {
      "the",   " cat",       "\n",           "\n\n",        "  ",         "é",  "漢字", "1234",
      "don't", "<|im_end|>", "<|im_start|>", "<tool_call>", "{\"a\": 1}", "\t", "."};
  std::mt19937 random(3);
  for (const text::Model* model : {&text::qwen(), &text::smol()}) {
    KVASIR_REQUIRE_MODEL(*model);
    for (int round = 0; round < 2000; ++round) {
      const auto some = [&] {
        std::string text;
        for (std::size_t n = random() % 8; n > 0; --n) text += words[random() % words.size()];
        return text;
      };
      const std::string before = some();
      const std::string behind = "<|im_end|>" + some();
      auto pieces = model->tokenizer->encode(before, text::SpecialText::kParse);
      const auto second = model->tokenizer->encode(behind, text::SpecialText::kParse);
      pieces.insert(pieces.end(), second.begin(), second.end());
      EXPECT_EQ(pieces, model->tokenizer->encode(before + behind, text::SpecialText::kParse))
          << before << behind;
    }
  }
}

// Every part begins at the token that its first letters are in, or that its turn is opened with.
TEST(PromptParts, BeginWhereTheyAre) {
  Conversation conversation = conversation_of(R"({"type":"object"})", R"({"city":"Oslo"})");
  conversation.messages.push_back(turn(Role::kAssistant, "It is 4 degrees."));
  conversation.messages.push_back(turn(Role::kUser, "  user\n"));
  const text::Model* models[] = {&text::qwen(), &text::smol(), &text::qwen()};
  std::size_t next = 0;
  for (const PromptRenderer& renderer : renderers()) {
    const auto& tokenizer = *models[next++]->tokenizer;
    const auto prompt = renderer.render(conversation);
    ASSERT_TRUE(prompt.ok());
    const auto parts = renderer.parts(conversation, *prompt);
    const auto text_from = [&](std::uint32_t token) {
      return tokenizer.decode(std::span(prompt->tokens).subspan(token), false);
    };
    std::size_t certain = 0;
    for (const PromptPart& part : parts) {
      const std::string text = text_from(part.first_token);
      const auto near = [&](const char* words) {
        ++certain;
        const std::size_t at = text.find(words);
        ASSERT_NE(at, std::string::npos) << part.name;
        const std::string before = text.substr(0, at);
        EXPECT_TRUE(at <= 2 || before.find("<|im_start|>") < 2 || before.find("<|object_ref_start|>") < 2)
            << part.name << ": " << text.substr(0, 40);
        EXPECT_EQ(before.find("<|im_end|>"), std::string::npos) << part.name << ": " << text.substr(0, 40);
      };
      if (part.name == "system") near("Be brief.");
      if (part.name == "messages[1]") near("Weather in");
      if (part.name == "messages[3]") near("4 degrees");
      if (part.name == "messages[4]") near("It is 4");
      if (part.name == "messages[5]") near("user");
      if (part.name == "tools[0]") {
        near("\"get_weather");
        EXPECT_EQ(part.what, "tool get_weather");
      }
      if (part.name == "tools") {
        EXPECT_NE(text.find("get_weather"), std::string::npos);
      }
    }
    EXPECT_EQ(certain, 6u) << prompt->text;
    EXPECT_EQ(parts.front().name, "tools");
  }
}

}  // namespace
}  // namespace kvasir::chat
