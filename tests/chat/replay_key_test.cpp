#include "chat/replay_key.h"

#include <gtest/gtest.h>

#include "chat/json_text.h"

namespace kvasir::chat {
namespace {

Message text_turn(std::string text) {
  Message message;
  message.role = Role::kAssistant;
  message.content = std::move(text);
  return message;
}
Message call_turn(std::string arguments, std::string id = "call_1") {
  Message message = text_turn("");
  message.tool_calls = {{std::move(id), "f", std::move(arguments)}};
  return message;
}
ReplayContext after(std::string question) {
  ReplayContext context;
  Message message;
  message.content = std::move(question);
  context.add(message);
  return context;
}
ReplayKey key(const Message& turn, const std::string& question = "Q", std::string_view space = "") {
  return replay_key(space, after(question), turn);
}

TEST(ReplayKey, TextIsKnownTrimmed) {
  EXPECT_EQ(key(text_turn("Hello\n there \n")), key(text_turn(" Hello\n there")));
  EXPECT_NE(key(text_turn("Hello\n there")), key(text_turn("Hello there")));
}

TEST(ReplayKey, SameWordsInOtherConversationsAreOthers) {
  EXPECT_NE(key(text_turn("Done."), "one"), key(text_turn("Done."), "two"));
  EXPECT_NE(key(text_turn("Done."), "one", "a"), key(text_turn("Done."), "one", "b"));
}

TEST(ReplayKey, CallsAreKnownByTheirIdsInAnyConversation) {
  EXPECT_EQ(key(call_turn("{}"), "one"), key(call_turn("{}"), "two"));
  EXPECT_NE(key(call_turn("{}", "call_1")), key(call_turn("{}", "call_2")));
  EXPECT_NE(key(call_turn("{}"), "one", "a"), key(call_turn("{}"), "one", "b"));
  EXPECT_NE(key(call_turn("{}", ""), "one"), key(call_turn("{}", ""), "two"));
}

TEST(ReplayKey, ArgumentsInAnySpelling) {
  const ReplayKey one = key(call_turn(R"({"a": 1.0, "b": ["é", 1e3], "big": 12345678901234567890})"));
  EXPECT_EQ(one, key(call_turn(R"({ "b":["\u00e9",1000],"big":12345678901234567000,"a":1 })")));
  EXPECT_NE(one, key(call_turn(R"({"a": 1.5, "b": ["é", 1e3], "big": 12345678901234567890})")));
  EXPECT_NE(one, key(call_turn(R"({"a": "1", "b": ["é", 1e3], "big": 12345678901234567890})")));
  EXPECT_NE(key(call_turn(R"(["a","b"])")), key(call_turn(R"(["b","a"])")));
  EXPECT_EQ(key(call_turn("")), key(call_turn("{}")));
  EXPECT_EQ(key(call_turn("{\"cut\": \"of")), key(call_turn("{\"cut\": \"of ")));
}

TEST(ReplayKey, AnEditedTurnIsAnother) {
  Message turn = call_turn("{}");
  const ReplayKey before = key(turn);
  turn.content = "I call.";
  EXPECT_NE(key(turn), before);
  turn = text_turn("Hello");
  turn.reasoning = "Hm.";
  EXPECT_NE(key(turn), key(text_turn("Hello")));
}

TEST(ReplayKey, FieldsDoNotRunIntoEachOther) {
  Message one = text_turn("a");
  one.reasoning = "b";
  Message two = text_turn("a1:b");
  EXPECT_NE(key(one), key(two));
}

TEST(ReplayContext, ThoughtsAndSpellingsDoNotCount) {
  ReplayContext one = after("Q");
  ReplayContext two = after("Q");
  Message turn = call_turn(R"({"x": 1.0})");
  turn.reasoning = "Hm.";
  one.add(turn);
  two.add(call_turn(R"({"x":1})", "another id"));
  EXPECT_EQ(one.digest(), two.digest());
}

TEST(ReplayContext, OrderAndRolesCount) {
  Message user;
  user.content = "a";
  Message system = user;
  system.role = Role::kSystem;
  ReplayContext one;
  one.add(user);
  one.add(system);
  ReplayContext two;
  two.add(system);
  two.add(user);
  EXPECT_NE(one.digest(), two.digest());
}

TEST(JsonText, WholeNumbersBecomeIntegers) {
  boost::json::value value = boost::json::parse(R"({"a":[1.0,-2e1,0.5,1e300,3],"b":{"c":-0.0}})");
  normalise_numbers(value);
  EXPECT_EQ(boost::json::serialize(value), R"({"a":[1,-20,5E-1,1E300,3],"b":{"c":0}})");
}

}  // namespace
}  // namespace kvasir::chat
