// Thoughts of every tag style, read while they stream, however the text is cut.

#include <gtest/gtest.h>

#include "event_lines.h"
#include "formats.h"

namespace kvasir::chat {
namespace {

using Lines = std::vector<std::string>;

// What a family writes, in its own template's words.
struct Style {
  std::string name;
  std::string mark;  // in the family's template
  std::string open;  // as the model or the prompt writes it
  std::string close;
  std::string format = "hermes";  // of its tool calls
};

const std::vector<Style>& styles() {
  static const std::vector<Style> table = {
      {"Think", "</think>", "<think>\n", "\n</think>\n\n"},
      {"ThinkWithoutSpace", "</think>", "<think>", "</think>"},
      {"Magistral", "[/THINK]", "[THINK]", "[/THINK]"},
      {"SeedOss", "</seed:think>", "<seed:think>", "</seed:think>", "seed-oss"},
      {"MiniMaxM3", "</mm:think>", "<mm:think>", "</mm:think>"},
      {"Hunyuan", "</think:opensource>", "<think:opensource>", "</think:opensource>\n", "hunyuan"},
      {"CommandR", "<|END_THINKING|>", "<|START_THINKING|>", "<|END_THINKING|>", "command-r7b"},
      {"Apriel", "[BEGIN FINAL RESPONSE]", "Here are my reasoning steps:\n", "\n[BEGIN FINAL RESPONSE]\n",
       "apriel"},
      {"Gemma4", "<|channel>thought", "<|channel>thought\n", "\n<channel|>", "gemma4"},
      {"GptOss", "<|channel|>analysis<|message|>", "<|channel|>analysis<|message|>",
       "<|end|><|start|>assistant<|channel|>final<|message|>", "harmony"},
  };
  return table;
}

OutputParserOptions options_of(const Style& style) {
  OutputParserOptions options = options_for(*find_tool_format(style.format));
  options.reasoning = find_reasoning_format(style.mark);
  return options;
}

// The events must be the same whole, byte by byte, and cut in two anywhere.
void expect_for_every_cut(const OutputParserOptions& options, const std::string& text, const Lines& events) {
  EXPECT_EQ(parse(options, {text}), events);
  std::vector<std::string> bytes;
  for (const char byte : text) bytes.emplace_back(1, byte);
  EXPECT_EQ(parse(options, bytes), events) << "one byte at a time";
  for (std::size_t cut = 1; cut < text.size(); ++cut) {
    ASSERT_EQ(parse(options, {text.substr(0, cut), text.substr(cut)}), events) << "cut at " << cut;
  }
}

class ThoughtStyles : public testing::TestWithParam<std::size_t> {
 protected:
  const Style& style() const { return styles()[GetParam()]; }
};

const std::string kThought = "First < this,\n\nthen [that] <|x> </thin";

TEST_P(ThoughtStyles, ThoughtThatTheModelOpens) {
  expect_for_every_cut(options_of(style()), style().open + kThought + style().close + "Yes.",
                       {"thought:" + kThought, "text:Yes."});
}

TEST_P(ThoughtStyles, ThoughtThatThePromptOpened) {
  OutputParserOptions options = options_of(style());
  options.starts_in_reasoning = true;
  expect_for_every_cut(options, kThought + style().close + "Yes.", {"thought:" + kThought, "text:Yes."});
}

TEST_P(ThoughtStyles, EmptyThoughtIsNone) {
  expect_for_every_cut(options_of(style()), style().open + style().close + "Yes.", {"text:Yes."});
}

TEST_P(ThoughtStyles, ThoughtThatIsCutShortStaysAThought) {
  expect_for_every_cut(options_of(style()), style().open + "Let me", {"thought:Let me"});
}

TEST_P(ThoughtStyles, AnswerWithoutAThought) {
  expect_for_every_cut(options_of(style()), "Yes.", {"text:Yes."});
}

TEST_P(ThoughtStyles, TagsStayInTheTextWhereTheClientAsksForIt) {
  OutputParserOptions options = options_of(style());
  options.markers = {options.reasoning.close};  // a control token: else never shown
  leave_thoughts_in_text(options);
  const Lines lines = parse(options, {style().open + "hm" + style().close + "Yes."});
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_TRUE(lines[0].starts_with("text:" + style().open + "hm")) << lines[0];
  EXPECT_NE(lines[0].find(find_reasoning_format(style().mark).close), std::string::npos) << lines[0];
  EXPECT_TRUE(lines[0].ends_with("Yes.")) << lines[0];
}

INSTANTIATE_TEST_SUITE_P(Every, ThoughtStyles, testing::Range<std::size_t>(0, styles().size()),
                         [](const auto& instance) { return styles()[instance.param].name; });

TEST(ThoughtsInText, TagThatThePromptWroteComesFirst) {
  OutputParserOptions options = options_for(hermes_format());
  options.starts_in_reasoning = true;
  leave_thoughts_in_text(options);
  EXPECT_EQ(parse(options, {"hm\n</think>\n\nYes."}), Lines{"text:<think>\nhm\n</think>\n\nYes."});
}

TEST(HarmonyThoughts, AnalysisMayComeAgainAndACallMayFollow) {
  expect_for_every_cut(
      options_of(styles().back()),
      "<|channel|>analysis<|message|>one<|end|><|start|>assistant<|channel|>analysis<|message|>two"
      "<|end|><|start|>assistant to=functions.bash<|channel|>commentary json<|message|>"
      "{\"command\": \"ls\"}",
      {"thought:onetwo", "begin0:bash", "args0:{\"command\": \"ls\"}", "end0"});
}

}  // namespace
}  // namespace kvasir::chat
