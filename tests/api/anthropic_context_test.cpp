#include "api/anthropic_context.h"

#include <gtest/gtest.h>

namespace kvasir::api {
namespace {

using chat::Conversation;
using chat::Message;
using chat::Role;

// A token a character of all that a prompt would hold.
Result<std::size_t> count(const Conversation& conversation) {
  std::size_t tokens = 0;
  for (const Message& message : conversation.messages) {
    tokens += message.content.size() + message.reasoning.size();
    for (const auto& call : message.tool_calls) tokens += call.arguments.size();
  }
  return tokens;
}

class Talk {
 public:
  Talk& user(const std::string& text) { return add(Role::kUser, text); }
  Talk& thought(const std::string& text) {
    add(Role::kAssistant, "");
    last().reasoning = text;
    return *this;
  }
  // An assistant's call and its result.
  Talk& call(const std::string& tool, const std::string& id) {
    if (last().role != Role::kAssistant) add(Role::kAssistant, "");
    last().tool_calls.push_back({id, tool, R"({"path":"a long path"})"});
    add(Role::kTool, "a result that is long enough to be worth clearing");
    last().tool_call_id = id;
    return *this;
  }
  Conversation talk;

 private:
  Talk& add(Role role, const std::string& text) {
    talk.messages.emplace_back().role = role;
    last().content = text;
    last().client_index = talk.messages.size() - 1;
    return *this;
  }
  Message& last() { return talk.messages.back(); }
};

std::string applied(const std::string& edits, Conversation& conversation) {
  const auto body = boost::json::parse(R"({"context_management":{"edits":)" + edits + "}}");
  std::vector<std::string> warnings;
  const auto parsed = parse_context_management(Fields(body, ""), warnings);
  const auto done = apply_context_edits(*parsed, conversation, count);
  return boost::json::serialize(context_management_json(*done).at("applied_edits"));
}

std::string cleared_ids(const Conversation& conversation) {
  std::string ids;
  for (const Message& message : conversation.messages) {
    if (message.content == "[old tool result cleared]") ids += message.tool_call_id;
  }
  return ids;
}

Conversation five_calls() {
  Talk talk;
  talk.user("go");
  for (const char* id : {"1", "2", "3", "4", "5"}) talk.call(*id == '2' ? "Keep" : "Read", id);
  return talk.talk;
}

TEST(ContextEdits, NothingHappensBelowTheTrigger) {
  Conversation talk = five_calls();
  EXPECT_EQ(applied(R"([{"type":"clear_tool_uses_20250919"}])", talk), "[]");
  EXPECT_EQ(
      applied(R"([{"type":"clear_tool_uses_20250919","trigger":{"type":"tool_uses","value":5}}])", talk),
      "[]");
  EXPECT_EQ(cleared_ids(talk), "");
}

TEST(ContextEdits, ClearsTheOldestResultsAndKeepsThree) {
  Conversation talk = five_calls();
  // 49 characters become 25, twice.
  EXPECT_EQ(
      applied(R"([{"type":"clear_tool_uses_20250919","trigger":{"type":"input_tokens","value":100}}])", talk),
      R"([{"type":"clear_tool_uses_20250919","cleared_tool_uses":2,"cleared_input_tokens":48}])");
  EXPECT_EQ(cleared_ids(talk), "12");
}

TEST(ContextEdits, ExcludedToolsStayAndInputsGoWhereAsked) {
  const std::string head = R"([{"type":"clear_tool_uses_20250919","trigger":{"type":"tool_uses","value":2},)"
                           R"("keep":{"type":"tool_uses","value":1},"exclude_tools":["Keep"])";
  Conversation talk = five_calls();
  applied(head + "}]", talk);
  EXPECT_EQ(cleared_ids(talk), "134");
  EXPECT_EQ(talk.messages[1].tool_calls[0].arguments, R"({"path":"a long path"})");
  for (const char* inputs : {"true", R"(["Read"])"}) {
    Conversation again = five_calls();
    applied(head + R"(,"clear_tool_inputs":)" + inputs + "}]", again);
    EXPECT_EQ(again.messages[1].tool_calls[0].arguments, "{}");
    EXPECT_EQ(again.messages[3].tool_calls[0].arguments, R"({"path":"a long path"})");
  }
}

TEST(ContextEdits, TooLittleToClearClearsNothing) {
  Conversation talk = five_calls();
  const std::string head = R"([{"type":"clear_tool_uses_20250919","trigger":{"type":"tool_uses","value":1},)"
                           R"("clear_at_least":{"type":"input_tokens","value":)";
  EXPECT_EQ(applied(head + "49}}]", talk), "[]");
  EXPECT_EQ(cleared_ids(talk), "");
  EXPECT_NE(applied(head + "48}}]", talk), "[]");
}

TEST(ContextEdits, ThoughtsOfTheLastTurnStayThroughItsToolLoop) {
  Talk talk;
  talk.user("one")
      .thought("first")
      .call("f", "1")
      .thought("again")
      .user("two")
      .thought("later")
      .call("f", "2")
      .thought("last");
  Conversation whole = talk.talk;
  EXPECT_EQ(applied(R"([{"type":"clear_thinking_20251015"}])", talk.talk),
            R"([{"type":"clear_thinking_20251015","cleared_thinking_turns":1,"cleared_input_tokens":10}])");
  std::string left;
  for (const Message& message : talk.talk.messages) left += message.reasoning + "|";
  EXPECT_EQ(left,
            "||||"
            "|later||last|");
  for (const char* keep : {R"("all")", R"({"type":"all"})", R"({"type":"thinking_turns","value":2})"}) {
    EXPECT_EQ(applied(R"([{"type":"clear_thinking_20251015","keep":)" + std::string(keep) + "}]", whole),
              "[]");
  }
}

TEST(ContextEdits, UnknownEditsAreLeftOutAndWrongOnesNamed) {
  const auto parse = [](const std::string& edit) -> std::string {
    const auto body = boost::json::parse(R"({"context_management":{"edits":[)" + edit + "]}}");
    std::vector<std::string> warnings;
    try {
      (void)parse_context_management(Fields(body, ""), warnings);
    } catch (const FieldError& error) {
      return error.error().message;
    }
    return warnings.empty() ? "" : warnings.front();
  };
  EXPECT_EQ(parse(R"({"type":"compact_20260112"})"),
            "context_management.edits[0]: \"compact_20260112\" is not done here");
  EXPECT_EQ(parse(R"({"type":"clear_tool_uses_20250919","keep":{"type":"tool_uses"}})"),
            "context_management.edits[0].keep.value: is required and must be a whole number");
  EXPECT_EQ(parse(R"({"type":"clear_thinking_20251015","keep":{"type":"hours","value":2}})"),
            "context_management.edits[0].keep.type: \"hours\" is not one that this field has");
}

}  // namespace
}  // namespace kvasir::api
