#include "server/response_store.h"

#include <gtest/gtest.h>

namespace kvasir::server {
namespace {

namespace json = boost::json;

json::array items(const std::string& text) {
  return {json::object{{"text", text}}};
}

void put(ResponseStore& store, const std::string& id, const std::string& previous, const std::string& text) {
  ResponseTurns before;
  if (!previous.empty()) before = store.turns("key", previous).value_or(ResponseTurns());
  store.put("key", id, std::move(before), items(text), {{"id", id}});
}

std::optional<json::array> kept(const ResponseStore& store, const std::string& id) {
  const auto turns = store.turns("key", id);
  return turns ? std::optional(items_of(*turns)) : std::nullopt;
}

TEST(ResponseStore, AResponseHasAllTurnsBeforeIt) {
  ResponseStore store(1 << 20);
  put(store, "r1", "", "one");
  put(store, "r2", "r1", "two");
  put(store, "r3", "r1", "fork");
  EXPECT_EQ(kept(store, "r2"), (json::array{{{"text", "one"}}, {{"text", "two"}}}));
  EXPECT_EQ(kept(store, "r3"), (json::array{{{"text", "one"}}, {{"text", "fork"}}}));
  EXPECT_EQ(store.response("key", "r2"), (json::object{{"id", "r2"}}));
}

TEST(ResponseStore, AnotherNamespaceHasNoneOfIt) {
  ResponseStore store(1 << 20);
  put(store, "r1", "", "one");
  EXPECT_EQ(store.turns("other", "r1"), std::nullopt);
  EXPECT_EQ(store.response("other", "r1"), std::nullopt);
  EXPECT_FALSE(store.remove("other", "r1"));
  EXPECT_TRUE(kept(store, "r1").has_value());
}

TEST(ResponseStore, WhatGoesOnFromARemovedOneKeepsItsTurns) {
  ResponseStore store(1 << 20);
  put(store, "r1", "", "one");
  put(store, "r2", "r1", "two");
  EXPECT_TRUE(store.remove("key", "r1"));
  EXPECT_FALSE(store.remove("key", "r1"));
  EXPECT_EQ(kept(store, "r1"), std::nullopt);
  EXPECT_EQ(kept(store, "r2")->size(), 2U);
}

TEST(ResponseStore, TheOldestGoWhereMemoryIsShort) {
  constexpr std::size_t kMost = 20'000;
  ResponseStore store(kMost);
  const std::string text(500, 'x');
  for (int i = 0; i < 100; ++i) put(store, "r" + std::to_string(i), "", text);
  EXPECT_EQ(kept(store, "r0"), std::nullopt);
  EXPECT_TRUE(kept(store, "r99").has_value());
  int left = 0;
  for (int i = 0; i < 100; ++i) left += kept(store, "r" + std::to_string(i)).has_value() ? 1 : 0;
  EXPECT_GE(left, 5);
  EXPECT_LE(left, 10);
}

TEST(ResponseStore, ALongConversationKeepsItsNewestWithinTheMemory) {
  ResponseStore store(100'000);
  std::string last;
  for (int i = 0; i < 20; ++i) {
    const std::string id = "r" + std::to_string(i);
    put(store, id, last, std::string(500, 'x'));
    last = id;
  }
  EXPECT_EQ(kept(store, last)->size(), 20U);
  EXPECT_EQ(kept(store, "r10"), std::nullopt);
}

}  // namespace
}  // namespace kvasir::server
