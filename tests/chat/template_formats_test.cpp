// The chat templates of some seventy models (template_files.h): which format each is found to have, against a
// table made by reading the templates; and that what a model wrote, parsed and sent back by a client, stands
// in the next prompt as it was.

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "chat/call_writer.h"
#include "chat/history.h"
#include "chat/json_text.h"
#include "chat/prompt.h"
#include "event_lines.h"
#include "formats.h"
#include "template_files.h"

namespace kvasir::chat {
namespace {

// "hermes" with a star: the template knows no tools, or writes them in a way that no row describes; they are
// described in the system turn. Others with a star: the template declares tools but writes no calls.
const std::map<std::string, std::string>& expected_formats() {
  static const std::map<std::string, std::string> table = {
      {"Apertus-8B-Instruct", "apertus"},
      {"Apriel-1.6-15b-Thinker-fixed", "apriel"},
      {"Bielik-11B-v3.0-Instruct", "hermes"},
      {"ByteDance-Seed-OSS", "seed-oss"},
      {"Cohere2MoE", "command-r7b"},
      {"CohereForAI-c4ai-command-r-plus-tool_use", "command-r-plus"},
      {"CohereForAI-c4ai-command-r7b-12-2024-tool_use", "command-r7b"},
      {"GLM-4.6", "glm-4.5"},
      {"GLM-4.7-Flash", "glm-4.7"},
      {"GigaChat3-10B-A1.8B", "gigachat3"},
      {"GigaChat3.1-10B-A1.8B", "gigachat"},
      {"HuggingFaceTB-SmolLM3-3B", "hermes*"},
      {"Kimi-K2-Instruct",
       "kimi-k2*"},  // keeps ids in a list that it changes, which the template engine refuses
      {"Kimi-K2-Thinking", "kimi-k2*"},
      {"Kimi-K3", "hermes*"},
      {"LFM2-8B-A1B", "lfm2*"},
      {"LFM2.5-8B-A1B", "lfm2"},
      {"LFM2.5-Instruct", "lfm2*"},
      {"MiMo-VL", "hermes"},
      {"MiniMax-M1", "minimax-m1"},
      {"MiniMax-M2", "minimax-m2"},
      {"MiniMax-M3", "hermes*"},
      {"Mistral-Small-3.2-24B-Instruct-2506", "mistral-call-id"},
      {"NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", "qwen3-coder"},
      {"NVIDIA-Nemotron-Nano-v2", "nemotron"},
      {"NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use", "hermes"},
      {"NousResearch-Hermes-3-Llama-3.1-8B-tool_use", "hermes"},
      {"Qwen-QwQ-32B", "hermes"},
      {"Qwen-Qwen2.5-7B-Instruct", "hermes"},
      {"Qwen-Qwen3-0.6B", "hermes"},
      {"Qwen3-Coder", "qwen3-coder"},
      {"Qwen3.5-4B", "qwen3-coder"},
      {"Reka-Edge", "reka"},
      {"Spark2.5", "glm-4.7"},
      {"StepFun3.5-Flash", "step3.5"},
      {"deepseek-ai-DeepSeek-R1-Distill-Llama-8B", "deepseek-r1"},
      {"deepseek-ai-DeepSeek-R1-Distill-Qwen-32B", "deepseek-r1"},
      {"deepseek-ai-DeepSeek-V3.1", "deepseek-v3.1"},
      {"deepseek-ai-DeepSeek-V3.2", "deepseek-v3.2"},
      {"deepseek-ai-DeepSeek-V4", "deepseek-v4"},
      {"deepseek-ai-DeepSeek-V4-Flash-0731", "deepseek-v4"},
      {"fireworks-ai-llama-3-firefunction-v2", "hermes*"},  // takes tools under a name of its own only
      {"google-gemma-2-2b-it", "hermes*"},
      {"google-gemma-4-31B-it", "gemma4"},
      {"google-gemma-4-31B-it-interleaved", "gemma4"},
      {"ibm-granite-granite-3.3-2B-Instruct", "granite*"},
      {"ibm-granite-granite-4.0", "hermes"},
      {"ibm-granite-granite-4.1", "hermes"},
      {"inclusionai-ling-3.0-flash", "ling-3"},
      {"llama-cpp-deepseek-r1", "deepseek-r1"},
      {"llama-cpp-rwkv-world", "hermes*"},
      {"meetkai-functionary-medium-v3.1", "functionary-v3.1"},
      {"meetkai-functionary-medium-v3.2", "functionary-v3.2"},
      {"meta-llama-Llama-3.1-8B-Instruct", "llama3"},
      {"meta-llama-Llama-3.2-3B-Instruct", "llama3"},
      {"meta-llama-Llama-3.3-70B-Instruct", "llama3"},
      {"microsoft-Phi-3.5-mini-instruct", "hermes*"},
      {"mistralai-Ministral-3-14B-Reasoning-2512", "mistral"},
      {"mistralai-Mistral-Nemo-Instruct-2407", "mistral-list"},
      {"moonshotai-Kimi-K2", "kimi-k2"},
      {"muse-glimmer", "hermes*"},
      {"openai-gpt-oss-120b", "harmony"},
      {"openbmb-MiniCPM5-1B", "minicpm5"},
      {"poolside-Laguna-S-2.1", "glm-4.7"},
      {"poolside-Laguna-XS-2.1", "glm-4.5"},
      {"poolside-Laguna-XS.2", "glm-4.5"},
      {"tencent-Hy3", "hunyuan"},
      {"unsloth-Apriel-1.5", "apriel"},
      {"unsloth-mistral-Devstral-Small-2507", "mistral"},
      {"upstage-Solar-Open-100B", "hermes*"},
  };
  return table;
}

class Templates : public testing::Test {
 protected:
  void SetUp() override {
    KVASIR_REQUIRE_MODEL(text::qwen());
    ASSERT_TRUE(std::filesystem::is_directory(template_folder()))
        << "run tools/fetch_templates.py, or set KVASIR_PEERS";
  }
};

TEST_F(Templates, TableNamesEveryTemplate) {
  std::set<std::string> named;
  for (const auto& [name, format] : expected_formats()) named.insert(name);
  EXPECT_EQ(template_names(), named);
}

TEST_F(Templates, FormatIsFoundByRendering) {
  for (const auto& [name, expected] : expected_formats()) {
    const PromptRenderer renderer = renderer_of(name);
    const TemplateTraits& traits = renderer.traits();
    EXPECT_EQ(traits.format.name + (traits.renders_calls ? "" : "*"), expected) << name;
    const bool described = traits.format.name == "hermes" && !traits.renders_calls;
    EXPECT_TRUE(!described || !traits.renders_tools) << name;
  }
}

Message turn(Role role, std::string content) {
  Message message;
  message.role = role;
  message.content = std::move(content);
  return message;
}

// The turn that a client makes of what the model wrote.
Message as_the_client_has_it(const OutputParserOptions& options, const std::string& text) {
  OutputParser parser(options);
  std::vector<OutputEvent> events;
  parser.feed(text, events);
  parser.finish(events);
  Message message = turn(Role::kAssistant, "");
  for (const OutputEvent& event : events) {
    if (const auto* delta = std::get_if<TextDelta>(&event)) message.content += delta->text;
    if (const auto* begin = std::get_if<ToolCallBegin>(&event))
      message.tool_calls.push_back({begin->id, begin->name, ""});
    if (const auto* part = std::get_if<ToolCallArguments>(&event)) {
      message.tool_calls.back().arguments += part->fragment;
    }
  }
  return message;
}

// Types in words, which the oldest templates need.
std::vector<Tool> plain_tools() {
  const auto described = [](std::string_view type) {
    return boost::json::object{{"type", type}, {"description", "a value"}};
  };
  boost::json::object tags = described("array");
  tags["items"] = boost::json::object{{"type", "string"}};
  const boost::json::object weather{{"city", described("string")},
                                    {"days", described("integer")},
                                    {"metric", described("boolean")},
                                    {"place", described("object")},
                                    {"tags", std::move(tags)}};
  const boost::json::object command{{"command", described("string")}};
  return {{"get_weather", "Weather of a city",
           boost::json::object{
               {"type", "object"}, {"properties", weather}, {"required", boost::json::array{"city"}}}},
          {"bash", "Runs a command",
           boost::json::object{
               {"type", "object"}, {"properties", command}, {"required", boost::json::array{"command"}}}}};
}

// The first needs variables of its own, of which the protocol knows nothing; the second reads schemas in a
// way that the template engine refuses.
bool cannot_be_rendered(const std::string& name) {
  return name == "fireworks-ai-llama-3-firefunction-v2" || name == "CohereForAI-c4ai-command-r-plus-tool_use";
}

std::string next_prompt(const PromptRenderer& renderer, const Message& answer) {
  Conversation conversation;
  conversation.tools = plain_tools();
  conversation.messages = {turn(Role::kUser, "Weather?"), answer};
  for (const ToolCall& call : answer.tool_calls) {
    Message result = turn(Role::kTool, "result of " + call.id);
    result.tool_call_id = call.id;
    result.name = call.name;
    conversation.messages.push_back(std::move(result));
  }
  auto prompt = renderer.render(conversation);
  EXPECT_TRUE(prompt.ok()) << prompt.error().message;
  return prompt.ok() ? prompt->text : std::string();
}

// Why a template does not write back what its model wrote, though nothing is lost.
const std::map<std::string, std::string>& exceptions() {
  static const std::map<std::string, std::string> table = {
      {"ByteDance-Seed-OSS", "shows lists and objects as Python does"},
      {"openbmb-MiniCPM5-1B", "shows lists and objects as Python does"},
  };
  return table;
}

TEST_F(Templates, CallsComeBackAsTheModelWroteThem) {
  for (const auto& [name, expected] : expected_formats()) {
    if (cannot_be_rendered(name)) continue;
    const PromptRenderer renderer = renderer_of(name);
    const TemplateTraits& traits = renderer.traits();
    OutputParserOptions options = options_for(traits.format);
    options.tools = plain_tools();
    int ids = 0;
    options.make_id = [&ids] { return "abcd1234" + std::to_string(ids++); };
    std::vector<ToolCall> calls = {
        {"abcd12340", "get_weather",
         R"({"city": "Oslo <b>", "days": 3, "metric": true, "place": {"lat": 1.5, "name": "x"}, "tags": ["a", "b"]})"},
        {"abcd12341", "bash", R"({"command": "ls -l | wc"})"}};
    const bool several = !traits.renders_calls || traits.several_calls;
    if (!several) calls.pop_back();
    const std::string written = write_calls(traits.format, calls);
    const std::string prompt = next_prompt(renderer, as_the_client_has_it(options, written));
    const bool same = prompt.find(trim(written)) != std::string::npos;
    EXPECT_EQ(same, !exceptions().contains(name)) << name << "\nwritten:\n"
                                                  << written << "\nprompt:\n"
                                                  << prompt;
    for (std::size_t i = 0; i < calls.size(); ++i) {
      EXPECT_NE(prompt.find("result of abcd1234" + std::to_string(i)), std::string::npos) << name << prompt;
    }
  }
}

// Text beside a call stays too.
TEST_F(Templates, TextBesideCallsStays) {
  for (const auto& [name, expected] : expected_formats()) {
    if (cannot_be_rendered(name)) continue;
    const PromptRenderer renderer = renderer_of(name);
    Message answer = turn(Role::kAssistant, "Let me look.");
    answer.tool_calls = {{"abcd12340", "bash", R"({"command": "ls -l"})"}};
    const std::string prompt = next_prompt(renderer, answer);
    EXPECT_NE(prompt.find("Let me look."), std::string::npos) << name << prompt;
    EXPECT_NE(prompt.find("ls -l"), std::string::npos) << name << prompt;
  }
}

// Several calls where the template writes one a turn; results out of order; a result of an unknown call.
TEST_F(Templates, OddHistoriesAreRenderedWhole) {
  for (const auto& [name, expected] : expected_formats()) {
    if (cannot_be_rendered(name)) continue;
    const PromptRenderer renderer = renderer_of(name);
    Conversation conversation;
    conversation.tools = plain_tools();
    Message answer = turn(Role::kAssistant, "");
    answer.tool_calls = {{"call_one", "bash", R"({"command": "first"})"}, {"call_two", "bash", "not JSON"}};
    Message second = turn(Role::kTool, "second result");
    second.tool_call_id = "call_two";
    second.name = "bash";
    second.is_error = true;
    Message first = turn(Role::kTool, "first result");
    first.tool_call_id = "unknown";
    conversation.messages = {
        turn(Role::kUser, "Go"),    answer, second, first, turn(Role::kAssistant, "Done."),
        turn(Role::kUser, "Thanks")};
    auto prompt = renderer.render(conversation);
    ASSERT_TRUE(prompt.ok()) << name << ": " << prompt.error().message;
    for (const std::string_view word : {"first", "Error: second result", "first result", "Done.", "Thanks"}) {
      EXPECT_NE(prompt->text.find(word), std::string::npos) << name << " lacks " << word << "\n"
                                                            << prompt->text;
    }
  }
}

}  // namespace
}  // namespace kvasir::chat
