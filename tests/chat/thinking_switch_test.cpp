// What the chat templates of some seventy models (template_files.h) take for how much to think, against a
// table made by reading them; and what each then writes.

#include "chat/thinking_switch.h"

#include <gtest/gtest.h>

#include <map>

#include "template_files.h"

namespace kvasir::chat {
namespace {

// The variables, with the values for thinking; then the efforts, then a budget. Templates that are not named
// have none.
const std::map<std::string, std::string>& expected_switches() {
  const std::string usual = R"({"enable_thinking":true})";
  const std::string deepseek = R"({"enable_thinking":true,"thinking":true})";
  static const std::map<std::string, std::string> table = {
      {"Apertus-8B-Instruct", usual},
      {"Bielik-11B-v3.0-Instruct", usual},
      {"ByteDance-Seed-OSS", "{} thinking_budget"},
      {"Cohere2MoE", R"({"reasoning":true})"},
      {"CohereForAI-c4ai-command-r7b-12-2024-tool_use", usual},
      {"GLM-4.6", usual},
      {"GLM-4.7-Flash", usual},
      {"HuggingFaceTB-SmolLM3-3B", usual},
      {"Kimi-K3", R"({"thinking":true} thinking_effort low high max)"},
      {"MiniMax-M3", R"({"thinking_mode":"enabled"})"},
      {"NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", usual},
      {"Qwen-QwQ-32B", usual},
      {"Qwen-Qwen3-0.6B", usual},
      {"Qwen3.5-4B", usual},
      {"Reka-Edge", usual},
      {"Spark2.5", usual},
      {"deepseek-ai-DeepSeek-R1-Distill-Qwen-32B", usual},
      {"deepseek-ai-DeepSeek-V3.1", deepseek},
      {"deepseek-ai-DeepSeek-V3.2", deepseek},
      {"deepseek-ai-DeepSeek-V4", deepseek + " reasoning_effort max"},
      {"deepseek-ai-DeepSeek-V4-Flash-0731", deepseek + " reasoning_effort high max"},
      {"google-gemma-4-31B-it", usual},
      {"google-gemma-4-31B-it-interleaved", usual},
      {"ibm-granite-granite-3.3-2B-Instruct", R"({"thinking":true})"},
      {"inclusionai-ling-3.0-flash", usual},
      {"llama-cpp-rwkv-world", usual},
      {"openai-gpt-oss-120b", "{} reasoning_effort low medium high"},
      {"openbmb-MiniCPM5-1B", usual},
      {"poolside-Laguna-S-2.1", usual},
      {"poolside-Laguna-XS-2.1", usual},
      {"poolside-Laguna-XS.2", usual},
      {"tencent-Hy3", R"({"reasoning_effort":"high"} reasoning_effort low high)"},
      {"upstage-Solar-Open-100B", "{} reasoning_effort minimal low"},
  };
  return table;
}

class ThinkingTemplates : public testing::Test {
 protected:
  void SetUp() override {
    KVASIR_REQUIRE_MODEL(text::qwen());
    ASSERT_TRUE(std::filesystem::is_directory(template_folder()))
        << "run tools/fetch_templates.py, or set KVASIR_PEERS";
  }
};

RenderedPrompt prompt_of(const PromptRenderer& renderer, const ThinkingWish& wish,
                         boost::json::object options = {}) {
  Conversation conversation;
  Message question;
  question.content = "Why?";
  conversation.messages = {question};
  conversation.thinking = wish;
  conversation.template_options = std::move(options);
  auto prompt = renderer.render(conversation);
  EXPECT_TRUE(prompt.ok()) << prompt.error().message;
  return prompt.ok() ? *prompt : RenderedPrompt();
}

ThinkingWish wish(std::optional<bool> enabled, std::optional<Effort> effort = {},
                  std::optional<std::uint32_t> most = {}) {
  return {enabled, effort, most};
}

TEST_F(ThinkingTemplates, SwitchIsFoundByRendering) {
  for (const std::string& name : template_names()) {
    const PromptRenderer renderer = renderer_of(name);
    const ThinkingSwitch& found = renderer.traits().thinking;
    std::string words = boost::json::serialize(found.on);
    if (!found.effort_key.empty()) words += " " + found.effort_key;
    for (const std::string& effort : found.efforts) words += " " + effort;
    if (!found.budget_key.empty()) words += " " + found.budget_key;
    const auto expected = expected_switches().find(name);
    EXPECT_EQ(words, expected == expected_switches().end() ? "{}" : expected->second) << name;
  }
}

// Off, no prompt opens a thought, of a family whose template has a switch; nor does a template without one
// get to see anything.
TEST_F(ThinkingTemplates, OffOpensNoThought) {
  for (const std::string& name : template_names()) {
    if (name == "fireworks-ai-llama-3-firefunction-v2") continue;  // needs variables of its own
    const PromptRenderer renderer = renderer_of(name);
    const RenderedPrompt off = prompt_of(renderer, wish(false));
    const ThinkingSwitch& found = renderer.traits().thinking;
    if (!found.off.empty()) {
      EXPECT_FALSE(off.opens_reasoning) << name << off.text;
    }
    if (found.off.empty() && found.efforts.empty()) {
      EXPECT_EQ(off.text, prompt_of(renderer, {}).text) << name;
    }
  }
}

TEST_F(ThinkingTemplates, PromptsSayWhatTheFamilyUnderstands) {
  const auto ends = [](const char* name, const ThinkingWish& asked, std::string_view end) {
    const std::string text = prompt_of(renderer_of(name), asked).text;
    EXPECT_TRUE(text.ends_with(end)) << name << ": " << text;
  };
  ends("Qwen-Qwen3-0.6B", {}, "<|im_start|>assistant\n");
  ends("Qwen-Qwen3-0.6B", wish(false), "<think>\n\n</think>\n\n");
  ends("GLM-4.7-Flash", wish(true), "<think>");
  ends("GLM-4.7-Flash", wish(false), "</think>");
  ends("deepseek-ai-DeepSeek-V3.1", {}, "</think>");
  ends("deepseek-ai-DeepSeek-V3.1", wish(true), "<think>");
  ends("HuggingFaceTB-SmolLM3-3B", wish(false), "<think>\n\n</think>\n");
  ends("tencent-Hy3", wish(true, Effort::kLow), "<think:opensource>");
  const auto says = [](const char* name, const ThinkingWish& asked, std::string_view words) {
    const std::string text = prompt_of(renderer_of(name), asked).text;
    EXPECT_NE(text.find(words), std::string::npos) << name << ": " << text;
  };
  says("openai-gpt-oss-120b", {}, "Reasoning: medium");
  says("openai-gpt-oss-120b", wish(true, Effort::kHigh), "Reasoning: high");
  says("openai-gpt-oss-120b", wish(true, Effort::kXhigh), "Reasoning: high");
  says("openai-gpt-oss-120b", wish(true, Effort::kMinimal), "Reasoning: low");
  says("openai-gpt-oss-120b", wish(false, Effort::kNone), "Reasoning: low");
  says("tencent-Hy3", wish(true), "reasoning_effort:high");
  says("tencent-Hy3", wish(false), "reasoning_effort:no_think");
  says("ByteDance-Seed-OSS", wish({}, {}, 512), "complete your thinking within 512 tokens");
  says("HuggingFaceTB-SmolLM3-3B", wish(false), "/no_think");
  says("ibm-granite-granite-3.3-2B-Instruct", wish(true), "<think>");
}

TEST_F(ThinkingTemplates, WhatTheClientNamesItselfStays) {
  const PromptRenderer renderer = renderer_of("Qwen-Qwen3-0.6B");
  EXPECT_TRUE(prompt_of(renderer, wish(true), {{"enable_thinking", false}}).closes_reasoning);
  const PromptRenderer oss = renderer_of("openai-gpt-oss-120b");
  EXPECT_NE(
      prompt_of(oss, wish(true, Effort::kLow), {{"reasoning_effort", "high"}}).text.find("Reasoning: high"),
      std::string::npos);
}

TEST_F(ThinkingTemplates, WhiteSpaceAroundThoughtsIsTheTemplates) {
  const auto space = [](const char* name) {
    const ReasoningFormat r = renderer_of(name).traits().reasoning;
    return boost::json::serialize(
        boost::json::value(r.open + r.space.open + "..." + r.space.close + r.close + r.answer_space));
  };
  EXPECT_EQ(space("Qwen-Qwen3-0.6B"), R"("<think>\n...\n</think>\n\n")");
  EXPECT_EQ(space("GLM-4.7-Flash"), R"("<think>...</think>")");
  EXPECT_EQ(space("deepseek-ai-DeepSeek-V3.1"), R"("<think>...</think>")");
  EXPECT_EQ(space("HuggingFaceTB-SmolLM3-3B"), R"("<think>\n...\n</think>\n")");
  EXPECT_EQ(space("NVIDIA-Nemotron-3-Nano-30B-A3B-BF16"), R"("<think>\n...\n</think>\n")");
  EXPECT_EQ(space("mistralai-Ministral-3-14B-Reasoning-2512"), R"("[THINK]...[/THINK]")");
  EXPECT_EQ(space("google-gemma-4-31B-it"), R"("<|channel>thought\n...\n<channel|>")");
  EXPECT_EQ(space("openai-gpt-oss-120b"), R"("<|channel|>analysis<|message|>...<|end|>")");
}

}  // namespace
}  // namespace kvasir::chat
