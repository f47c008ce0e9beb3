#include "chat/tool_constraint.h"

#include <gtest/gtest.h>

#include "constraint_steps.h"

namespace kvasir::chat {
namespace {

namespace json = boost::json;

Conversation with_tools() {
  Conversation conversation;
  conversation.tools = {
      {"get_weather", "",
       json::parse(
           R"({"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer"}},"required":["city"],"additionalProperties":false})")},
      {"bash", "",
       json::parse(
           R"({"type":"object","properties":{"command":{"type":"string"}},"required":["command"]})")}};
  return conversation;
}

std::unique_ptr<engine::Constraint> constraint_for(const Conversation& conversation,
                                                   bool opens_reasoning = false) {
  static TemplateTraits traits;
  traits.format = hermes_format();
  traits.reasoning = {"<think>", "</think>"};
  auto made = make_constraint({grammars(), text::qwen().tokenizer, &traits, opens_reasoning}, conversation);
  EXPECT_TRUE(made.ok()) << made.error().message;
  return made.ok() ? std::move(made->constraint) : nullptr;
}

bool is_free(engine::Constraint& constraint) {
  auto mask = constraint.mask();
  return mask.ok() && !mask->has_value();
}

const std::string kCall =
    "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Oslo\"}}\n</tool_call>";
const std::string kBash =
    "<tool_call>\n{\"name\": \"bash\", \"arguments\": {\"command\": \"ls -l | wc\"}}\n</tool_call>";

TEST(ToolConstraint, NoneAndNoToolsAllowEverything) {
  Conversation conversation;
  EXPECT_EQ(constraint_for(conversation), nullptr);
  conversation = with_tools();
  conversation.tool_choice.kind = ToolChoice::Kind::kNone;
  EXPECT_EQ(constraint_for(conversation), nullptr);
}

TEST(ToolConstraint, RequiredAdmitsCallsAndNothingElse) {
  Conversation conversation = with_tools();
  conversation.tool_choice.kind = ToolChoice::Kind::kRequired;
  EXPECT_EQ(admitted(*constraint_for(conversation), "Sure"), "");
  EXPECT_EQ(admitted(*constraint_for(conversation), "<tool_call>\n{\"name\": \"rm"),
            "<tool_call>\n{\"name\": \"");
  auto constraint = constraint_for(conversation);
  EXPECT_FALSE(may_end(*constraint));
  EXPECT_EQ(admitted(*constraint, kCall), kCall);
  EXPECT_TRUE(may_end(*constraint));
  EXPECT_EQ(admitted(*constraint, "\n" + kBash), "\n" + kBash);
  EXPECT_TRUE(may_end(*constraint));
}

TEST(ToolConstraint, ALineBreakBehindACallForcesNoOther) {
  Conversation conversation = with_tools();
  conversation.tool_choice.kind = ToolChoice::Kind::kRequired;
  auto constraint = constraint_for(conversation);
  EXPECT_EQ(admitted(*constraint, kCall + "\n"), kCall + "\n");
  EXPECT_TRUE(may_end(*constraint));
  EXPECT_EQ(admitted(*constraint, kBash + "\n"), kBash + "\n");
  EXPECT_TRUE(may_end(*constraint));
  EXPECT_EQ(admitted(*constraint, "\n"), "");
}

TEST(ToolConstraint, RequiredWithoutParallelIsOneCall) {
  Conversation conversation = with_tools();
  conversation.tool_choice.kind = ToolChoice::Kind::kRequired;
  conversation.parallel_tool_calls = false;
  auto constraint = constraint_for(conversation);
  EXPECT_EQ(admitted(*constraint, kCall), kCall);
  EXPECT_TRUE(may_end(*constraint));
  EXPECT_EQ(admitted(*constraint, "\n"), "");
}

TEST(ToolConstraint, NamedAdmitsThatToolOnly) {
  Conversation conversation = with_tools();
  conversation.tool_choice = {ToolChoice::Kind::kNamed, "bash"};
  EXPECT_EQ(admitted(*constraint_for(conversation), kBash), kBash);
  EXPECT_EQ(admitted(*constraint_for(conversation), kCall), "<tool_call>\n{\"name\": \"");
}

TEST(ToolConstraint, ArgumentsFollowTheSchema) {
  Conversation conversation = with_tools();
  conversation.tool_choice.kind = ToolChoice::Kind::kRequired;
  const std::string head = "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": ";
  EXPECT_EQ(admitted(*constraint_for(conversation), head + "5"), head);
  const std::string compact =
      "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\":\"Oslo\",\"days\":2}}";
  EXPECT_EQ(admitted(*constraint_for(conversation), compact), compact);
}

TEST(ToolConstraint, AutoIsFreeUntilACallOpensAndFreeAfterIt) {
  auto constraint = constraint_for(with_tools());
  EXPECT_TRUE(is_free(*constraint));
  EXPECT_EQ(admitted(*constraint, "Let me look.\n<tool_call>"), "Let me look.\n<tool_call>");
  EXPECT_FALSE(is_free(*constraint));
  EXPECT_EQ(admitted(*constraint, kCall.substr(11)), kCall.substr(11));
  EXPECT_TRUE(is_free(*constraint));
  EXPECT_EQ(admitted(*constraint, "\n" + kBash), "\n" + kBash);
  EXPECT_EQ(admitted(*constraint, "\n<tool_call>\n{\"name\": \"rm"), "\n<tool_call>\n{\"name\": \"");
}

TEST(ToolConstraint, AutoWithoutParallelEndsAfterTheCall) {
  Conversation conversation = with_tools();
  conversation.parallel_tool_calls = false;
  auto constraint = constraint_for(conversation);
  EXPECT_EQ(admitted(*constraint, kCall), kCall);
  EXPECT_FALSE(is_free(*constraint));
  EXPECT_TRUE(may_end(*constraint));
  EXPECT_EQ(admitted(*constraint, "\n"), "");
}

TEST(ToolConstraint, DelimiterSpelledOutArmsToo) {
  auto constraint = constraint_for(with_tools());
  // Not the one token: as ordinary text would be generated, its last piece running on into the call.
  const auto& tokenizer = *text::qwen().tokenizer;
  for (const std::string piece : {"<", "tool", "_call", ">\n", "{\""}) {
    const auto tokens = tokenizer.encode(piece, text::SpecialText::kAsText);
    ASSERT_EQ(tokens.size(), 1U) << piece;
    ASSERT_TRUE(allows(*constraint, tokens[0])) << piece;
    ASSERT_TRUE(constraint->accept(tokens[0]).ok());
  }
  EXPECT_FALSE(is_free(*constraint));
  EXPECT_EQ(admitted(*constraint, "name\": \"bash\", \"arguments\": {\"command\": 5"),
            "name\": \"bash\", \"arguments\": {\"command\": ");
}

TEST(ToolConstraint, BareCallIsHeldToItsSchemaFromItsArgumentsOn) {
  auto constraint = constraint_for(with_tools());
  const std::string head = "```json\n{\n  \"name\": \"bash\",\n  \"arguments\":";
  EXPECT_EQ(admitted(*constraint, head), head);
  EXPECT_FALSE(is_free(*constraint));
  EXPECT_EQ(admitted(*constraint, " {\"command\": 5"), " {\"command\": ");
  EXPECT_EQ(admitted(*constraint, "\"ls\"}"), "\"ls\"}");
  EXPECT_EQ(admitted(*constraint, "}"), "}");
  EXPECT_TRUE(is_free(*constraint));
}

// In this vocabulary the end of a call and the line break after it are one token.
TEST(ToolConstraint, TokenThatRunsOnPastTheCallIsAllowed) {
  const auto& tokenizer = *text::qwen().tokenizer;
  const std::string head = "{\"name\": \"bash\", \"arguments\": {\"command\": \"ls";
  const auto last = tokenizer.encode("\"}}\n", text::SpecialText::kAsText);
  ASSERT_EQ(last.size(), 1U);
  auto constraint = constraint_for(with_tools());
  ASSERT_EQ(admitted(*constraint, head), head);
  ASSERT_TRUE(allows(*constraint, last[0]));
  ASSERT_TRUE(constraint->accept(last[0]).ok());
  EXPECT_TRUE(is_free(*constraint));
  // And the next line may open the next call.
  EXPECT_EQ(admitted(*constraint, head), head);
  EXPECT_FALSE(is_free(*constraint));
}

TEST(ToolConstraint, AnswersCannotDriftOffIntoWhiteSpace) {
  Conversation conversation;
  conversation.response_format.kind = ResponseFormat::Kind::kJsonObject;
  EXPECT_EQ(admitted(*constraint_for(conversation), "{\n  \"a\": {\n    \"b\": 1\n  }\n}"),
            "{\n  \"a\": {\n    \"b\": 1\n  }\n}");
  EXPECT_LT(admitted(*constraint_for(conversation), "{\n\n\n\n\n\n\"a\": 1}").size(), 5U);
}

TEST(ToolConstraint, JsonThatIsNoCallStaysFree) {
  auto constraint = constraint_for(with_tools());
  admitted(*constraint, "{\"name\": \"Alice\", \"arguments\": 3}");
  EXPECT_TRUE(is_free(*constraint));
}

TEST(ToolConstraint, SchemaThatTheGrammarDoesNotKnowIsAnErrorWhereACallIsForced) {
  Conversation conversation = with_tools();
  conversation.tools[1].parameters =
      json::parse(R"({"type":"object","properties":{"x":{"type":"string"}},"unevaluatedProperties":false})");
  conversation.tool_choice.kind = ToolChoice::Kind::kRequired;
  TemplateTraits traits;
  traits.format = hermes_format();
  const auto made = make_constraint({grammars(), text::qwen().tokenizer, &traits}, conversation);
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(made.error().subject, "tools[1]");
  EXPECT_NE(made.error().message.find("bash"), std::string::npos) << made.error().message;
  EXPECT_NE(made.error().message.find("unevaluatedProperties"), std::string::npos) << made.error().message;
}

TEST(ToolConstraint, SchemaThatTheGrammarDoesNotKnowIsReadLooselyAndSaidSoElsewhere) {
  Conversation conversation = with_tools();
  conversation.tools[1].parameters =
      json::parse(R"({"type":"object","properties":{"command":{"type":"string"}},"required":["command"],)"
                  R"("unevaluatedProperties":false})");
  TemplateTraits traits;
  traits.format = hermes_format();
  auto made = make_constraint({grammars(), text::qwen().tokenizer, &traits}, conversation);
  ASSERT_TRUE(made.ok());
  EXPECT_NE(made->warning.find("tools[1] (bash)"), std::string::npos) << made->warning;
  EXPECT_EQ(made->warning.find('\n'), std::string::npos);
  // The others are held to all of theirs, and this one to what is known of it.
  const std::string head = "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": ";
  EXPECT_EQ(admitted(*made->constraint, head + "5"), head);
}

TEST(ToolConstraint, OnlyAllowedToolsMayBeCalled) {
  Conversation conversation = with_tools();
  conversation.tool_choice.kind = ToolChoice::Kind::kRequired;
  conversation.tool_choice.allowed = {"bash"};
  EXPECT_EQ(admitted(*constraint_for(conversation), kBash), kBash);
  EXPECT_EQ(admitted(*constraint_for(conversation), kCall), "<tool_call>\n{\"name\": \"");
  conversation.tool_choice.kind = ToolChoice::Kind::kAuto;
  EXPECT_EQ(admitted(*constraint_for(conversation), kCall), "<tool_call>\n{\"name\": \"");
}

TEST(ToolConstraint, AWithdrawnToolCannotBeCalled) {
  Conversation conversation = with_tools();
  conversation.tools.front().withdrawn = true;
  EXPECT_EQ(admitted(*constraint_for(conversation), kBash), kBash);
  EXPECT_EQ(admitted(*constraint_for(conversation), kCall).find("get_weather"), std::string::npos);
  conversation.tool_choice.kind = ToolChoice::Kind::kRequired;
  EXPECT_EQ(admitted(*constraint_for(conversation), kCall), "<tool_call>\n{\"name\": \"");
  EXPECT_EQ(admitted(*constraint_for(conversation), kBash), kBash);
}

TEST(ToolConstraint, ModelMayThinkBeforeTheForcedCall) {
  Conversation conversation = with_tools();
  conversation.tool_choice.kind = ToolChoice::Kind::kRequired;
  const std::string thought = "<think>\nLet me <tool_call> see</think>\n\n";
  EXPECT_EQ(admitted(*constraint_for(conversation), thought + kCall), thought + kCall);
  EXPECT_EQ(admitted(*constraint_for(conversation), "<think>x</think>\nSure"), "<think>x</think>\n");
  TemplateTraits traits;
  traits.format = hermes_format();
  traits.reasoning = {"<think>", "</think>"};
  auto made = make_constraint({grammars(), text::qwen().tokenizer, &traits, false, true}, conversation);
  ASSERT_TRUE(made.ok());
  EXPECT_EQ(admitted(*made->constraint, thought), "");  // the prompt has ended the thought
}

TEST(ToolConstraint, AwkwardToolNamesAreQuoted) {
  Conversation conversation = with_tools();
  conversation.tools[0].name = "a\"b\\c/\xc3\xa9 {x}";
  conversation.tool_choice = {ToolChoice::Kind::kNamed, conversation.tools[0].name};
  const std::string call =
      "<tool_call>\n{\"name\": \"a\\\"b\\\\c/\xc3\xa9 {x}\", \"arguments\": {\"city\": \"x\"}}\n</tool_call>";
  EXPECT_EQ(admitted(*constraint_for(conversation), call), call);
}

TEST(ToolConstraint, ThoughtThatThePromptOpenedIsFree) {
  Conversation conversation = with_tools();
  conversation.tool_choice.kind = ToolChoice::Kind::kRequired;
  auto constraint = constraint_for(conversation, true);
  EXPECT_EQ(admitted(*constraint, "hm, I think</think>"), "hm, I think</think>");
  EXPECT_FALSE(is_free(*constraint));
}

TEST(ToolConstraint, CallFollowsTheThoughtAfterALineBreak) {
  Conversation conversation = with_tools();
  conversation.tool_choice.kind = ToolChoice::Kind::kRequired;
  auto constraint = constraint_for(conversation, true);
  EXPECT_EQ(admitted(*constraint, "hm</think>\n\n" + kCall), "hm</think>\n\n" + kCall);
}

TEST(ToolConstraint, ThoughtMaySpeakOfCalls) {
  const std::string thought = "<think>I could write <tool_call> here";
  auto self_opened = constraint_for(with_tools());
  EXPECT_EQ(admitted(*self_opened, thought), thought);
  EXPECT_TRUE(is_free(*self_opened));
  EXPECT_EQ(admitted(*self_opened, "</think>\n\n<tool_call>"), "</think>\n\n<tool_call>");
  EXPECT_FALSE(is_free(*self_opened));
  auto opened = constraint_for(with_tools(), true);
  EXPECT_EQ(admitted(*opened, "or <tool_call> there"), "or <tool_call> there");
  EXPECT_TRUE(is_free(*opened));
}

TEST(ToolConstraint, JsonObjectAndSchemaAnswers) {
  Conversation conversation;
  conversation.response_format.kind = ResponseFormat::Kind::kJsonObject;
  EXPECT_EQ(admitted(*constraint_for(conversation), "Sure"), "");
  EXPECT_EQ(admitted(*constraint_for(conversation), "{\"a\": [1]}"), "{\"a\": [1]}");
  conversation.response_format.kind = ResponseFormat::Kind::kJsonSchema;
  conversation.response_format.schema = json::parse(R"({"type":"array","items":{"type":"integer"}})");
  EXPECT_EQ(admitted(*constraint_for(conversation), "[1, 2]"), "[1, 2]");
}

TEST(ToolConstraint, GrammarAnswersWithToolsAreCallsOrTheAnswer) {
  Conversation conversation;
  conversation.response_format = {ResponseFormat::Kind::kGrammar, nullptr, true,
                                  "start: A b\nA: /a+/ // a comment\nb: \"b\" | \"(\" b \")\""};
  EXPECT_EQ(admitted(*constraint_for(conversation), "aa((b))c"), "aa((b))");
  EXPECT_EQ(admitted(*constraint_for(conversation), kCall), "");
  conversation.tools = with_tools().tools;
  EXPECT_EQ(admitted(*constraint_for(conversation), "aa((b))c"), "aa((b))");
  auto call = constraint_for(conversation);
  EXPECT_EQ(admitted(*call, kCall), kCall);
  EXPECT_TRUE(may_end(*call));
  EXPECT_EQ(admitted(*constraint_for(conversation), "Sure"), "");
}

TEST(ToolConstraint, GrammarAnswersFollowAFreeThought) {
  Conversation conversation;
  conversation.response_format = {ResponseFormat::Kind::kGrammar, nullptr, true, "start: \"yes\" | \"no\""};
  auto opened = constraint_for(conversation, true);
  EXPECT_EQ(admitted(*opened, "free </think>\n\nyes"), "free </think>\n\nyes");
  EXPECT_TRUE(may_end(*opened));
  auto itself = constraint_for(conversation);
  EXPECT_EQ(admitted(*itself, "<think>why</think>no"), "<think>why</think>no");
  EXPECT_EQ(admitted(*constraint_for(conversation), "no"), "no");
}

TEST(ToolConstraint, SchemaThatIsNotStrictIsHeldAsFarAsItCanBe) {
  Conversation conversation;
  conversation.response_format.kind = ResponseFormat::Kind::kJsonSchema;
  conversation.response_format.schema =
      json::parse(R"({"type":"array","items":{"type":"integer"},"uniqueItems":true})");
  conversation.response_format.field = "guided_json";
  TemplateTraits traits;
  const auto loose = make_constraint({grammars(), text::qwen().tokenizer, &traits}, conversation);
  ASSERT_TRUE(loose.ok());
  EXPECT_NE(loose->warning.find("guided_json: the schema cannot be enforced: "), std::string::npos);
  EXPECT_NE(loose->warning.find("uniqueItems"), std::string::npos) << loose->warning;
  EXPECT_EQ(admitted(*loose->constraint, "[1, 1]"), "[1, 1]");
  EXPECT_TRUE(may_end(*loose->constraint));
  conversation.response_format.strict = true;
  const auto strict = make_constraint({grammars(), text::qwen().tokenizer, &traits}, conversation);
  ASSERT_FALSE(strict.ok());
  EXPECT_EQ(strict.error().subject, "guided_json");
  EXPECT_NE(strict.error().message.find("uniqueItems"), std::string::npos);
}

TEST(ToolConstraint, BadResponseSchemaIsTheClientsError) {
  Conversation conversation;
  conversation.response_format.kind = ResponseFormat::Kind::kJsonSchema;
  conversation.response_format.schema = json::parse(R"({"type":"nonsense"})");
  conversation.response_format.field = "response_format.json_schema.schema";
  TemplateTraits traits;
  traits.format = hermes_format();
  auto made = make_constraint({grammars(), text::qwen().tokenizer, &traits, false}, conversation);
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(made.error().subject, "response_format.json_schema.schema");
}

}  // namespace
}  // namespace kvasir::chat
