#include "chat/number_limit.h"

#include <gtest/gtest.h>

#include "chat/call_writer.h"
#include "constraint_steps.h"
#include "formats.h"

namespace kvasir::chat {
namespace {

constexpr const char* kProperties =
    R"({"type":"object","required":["x"],"properties":{"x":{"type":"number"},"text":{"type":"string"},)"
    R"("exact":{"type":"string","pattern":"^0\\.[0-9]{30}$"}}})";

// What may be generated of a call with this number, written as it stands, and what else the arguments are.
struct Call {
  Call(const ToolFormat& format, const std::string& number, const std::string& others = "") {
    traits.format = format;
    conversation.tools = {{"measure", "", boost::json::parse(kProperties)}};
    conversation.tool_choice.kind = ToolChoice::Kind::kRequired;
    conversation.parallel_tool_calls = false;
    auto made = make_constraint({grammars(), text::qwen().tokenizer, &traits}, conversation);
    EXPECT_TRUE(made.ok()) << made.error().message;
    const ToolCall call{"call00001", "measure", R"({"x": 888)" + others + "}"};
    text = write_calls(format, {&call, 1});
    text.replace(text.find("888"), 3, number);
    generated = admitted(*made->constraint, text);
  }
  // The text as far as so many characters of the number.
  std::string up_to(const std::string& number, std::size_t characters) const {
    return text.substr(0, text.find(number) + characters);
  }

  TemplateTraits traits;
  Conversation conversation;
  std::string text, generated;
};

std::string threes(std::size_t count) {
  return std::string(count, '3');
}

TEST(NumberLimit, AFractionEndsBehindTwentySignificantDigitsInEveryFormat) {
  KVASIR_REQUIRE_MODEL(text::qwen());
  for (const ToolFormat& format : known_tool_formats()) {
    SCOPED_TRACE(format.name);
    const Call whole(format, "0.00" + threes(20));
    EXPECT_EQ(whole.generated, whole.text);
    const std::string number = "0.00" + threes(25);
    const Call endless(format, number);
    EXPECT_EQ(endless.generated, endless.up_to(number, 24));
  }
}

TEST(NumberLimit, DigitsBeforeThePointCount) {
  KVASIR_REQUIRE_MODEL(text::qwen());
  const std::string number = "-12345." + threes(25);
  const Call endless(hermes_format(), number);
  EXPECT_EQ(endless.generated, endless.up_to(number, 22));
  // A point has a digit behind it.
  const std::string long_whole = threes(30) + ".25";
  const Call call(hermes_format(), long_whole);
  EXPECT_EQ(call.generated, call.up_to(long_whole, 32));
}

TEST(NumberLimit, AWholeNumberAndAFractionOfZerosEndInADoublesRange) {
  KVASIR_REQUIRE_MODEL(text::qwen());
  const Call endless(hermes_format(), threes(400));
  EXPECT_EQ(endless.generated, endless.up_to(threes(400), 308));
  const std::string zeros = "0." + std::string(400, '0');
  const Call small(hermes_format(), zeros);
  EXPECT_EQ(small.generated, small.up_to(zeros, 310));
}

TEST(NumberLimit, AnExponentMayFollow) {
  KVASIR_REQUIRE_MODEL(text::qwen());
  const Call call(hermes_format(), "0." + threes(20) + "e-12");
  EXPECT_EQ(call.generated, call.text);
}

TEST(NumberLimit, TextsOfDigitsAreLeftAlone) {
  KVASIR_REQUIRE_MODEL(text::qwen());
  const std::string text = "0." + std::string(500, '7');
  for (const char* name : {"hermes", "qwen3-coder", "glm-4.5", "gemma4", "lfm2"}) {
    const Call call(*find_tool_format(name), "1", R"(, "text": ")" + text + "\"");
    EXPECT_EQ(call.generated, call.text) << name;
    const Call exact(*find_tool_format(name), "1", R"(, "exact": ")" + text.substr(0, 32) + "\"");
    EXPECT_EQ(exact.generated, exact.text) << name;
  }
}

TEST(NumberLimit, AGrammarOfTheClientsIsItsOwn) {
  KVASIR_REQUIRE_MODEL(text::qwen());
  TemplateTraits traits;
  Conversation conversation;
  conversation.response_format.kind = ResponseFormat::Kind::kGrammar;
  conversation.response_format.grammar = "start: /0\\.[0-9]+/";
  auto made = make_constraint({grammars(), text::qwen().tokenizer, &traits}, conversation);
  ASSERT_TRUE(made.ok()) << made.error().message;
  const std::string text = "0." + std::string(50, '3');
  EXPECT_EQ(admitted(*made->constraint, text), text);
}

}  // namespace
}  // namespace kvasir::chat
