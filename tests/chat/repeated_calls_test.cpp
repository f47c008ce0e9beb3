#include "chat/repeated_calls.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "chat/call_writer.h"
#include "constraint_steps.h"
#include "formats.h"

namespace kvasir::chat {
namespace {

constexpr std::size_t kMostOfOne = 8;

struct Turn {
  explicit Turn(const ToolFormat& format, ToolChoice::Kind choice) {
    traits.format = format;
    conversation.tools = test_tools();
    conversation.tool_choice.kind = choice;
    auto made = make_constraint({grammars(), text::qwen().tokenizer, &traits}, conversation);
    EXPECT_TRUE(made.ok()) << made.error().message;
    if (made.ok()) constraint = std::move(made->constraint);
  }

  bool may_end() const { return chat::may_end(*constraint); }
  // How much of `text` may be generated.
  std::string admitted(const std::string& text) const { return chat::admitted(*constraint, text); }

  void write(const std::string& text) const {
    for (const TokenId token : text::qwen().tokenizer->encode(text, text::SpecialText::kParse))
      ASSERT_TRUE(constraint->accept(token).ok());
  }

  // The same a character at a time.
  std::string admitted_characters(std::string_view text) const {
    std::string so_far;
    while (so_far.size() < text.size()) {
      std::size_t end = so_far.size() + 1;
      while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) ++end;
      const std::string next(text.substr(so_far.size(), end - so_far.size()));
      const std::string admitted_of_it = admitted(next);
      so_far += admitted_of_it;
      if (admitted_of_it != next) break;
    }
    return so_far;
  }

  TemplateTraits traits;
  Conversation conversation;
  std::unique_ptr<engine::Constraint> constraint;
};

std::string calls_text(const ToolFormat& format, std::size_t count, bool alternating = false) {
  std::vector<ToolCall> calls;
  for (std::size_t i = 0; i < count; ++i) {
    const bool other = alternating && i % 2 == 1;
    calls.push_back({"call" + std::to_string(10000 + i), "get_weather",
                     other ? R"({"city": "Rome"})" : R"({"city": "Oslo"})"});
  }
  return write_calls(format, calls);
}

// Up to where both are the same.
std::size_t common(std::string_view a, std::string_view b) {
  return static_cast<std::size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
}

TEST(RepeatedCalls, EveryFormatEndsBehindTheEighthCallOfOneKind) {
  std::size_t formats = 0;
  for (const ToolFormat& format : known_tool_formats()) {
    if (format.parallel == ParallelForm::kSingle) continue;
    const std::string seven = calls_text(format, kMostOfOne - 1);
    const std::string eight = calls_text(format, kMostOfOne);
    const std::string nine = calls_text(format, kMostOfOne + 1);
    SCOPED_TRACE(format.name + ": " + eight);
    const std::string written = eight.substr(0, common(seven, eight));
    const Turn turn(format, ToolChoice::Kind::kRequired);
    turn.write(written);
    EXPECT_EQ(written + turn.admitted_characters(eight.substr(written.size())), eight);
    EXPECT_TRUE(turn.may_end());
    const Turn longer(format, ToolChoice::Kind::kRequired);
    longer.write(written);
    EXPECT_LE(written.size() + longer.admitted_characters(nine.substr(written.size())).size(),
              common(eight, nine));
    ++formats;
  }
  EXPECT_GT(formats, 20U);
}

TEST(RepeatedCalls, AListEndsBehindTheNinthWhereATokenHoldsTheCommaToo) {
  for (const char* name : {"granite", "phi4", "mistral-list"}) {
    const ToolFormat& format = *find_tool_format(name);
    const std::string nine = calls_text(format, kMostOfOne + 1);
    const std::string ten = calls_text(format, kMostOfOne + 2);
    SCOPED_TRACE(ten);
    EXPECT_LE(Turn(format, ToolChoice::Kind::kRequired).admitted(ten).size(), common(nine, ten));
  }
}

TEST(RepeatedCalls, CallsInTurnEndWhenOneHasComeEightTimes) {
  const ToolFormat& format = hermes_format();
  const std::string fifteen = calls_text(format, 2 * kMostOfOne - 1, true);
  Turn turn(format, ToolChoice::Kind::kAuto);
  EXPECT_EQ(turn.admitted(fifteen), fifteen);
  EXPECT_TRUE(turn.may_end());
  EXPECT_EQ(turn.admitted("\n<"), "");
}

TEST(RepeatedCalls, DifferentCallsGoOn) {
  const ToolFormat& format = hermes_format();
  std::vector<ToolCall> calls;
  for (int i = 0; i < 40; ++i)
    calls.push_back({"", "bash", "{\"command\": \"ls " + std::to_string(i) + "\"}"});
  const std::string text = write_calls(format, calls);
  Turn turn(format, ToolChoice::Kind::kAuto);
  EXPECT_EQ(turn.admitted(text), text);
  EXPECT_EQ(turn.admitted("\nNow"), "\nNow");
}

}  // namespace
}  // namespace kvasir::chat
