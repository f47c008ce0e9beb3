#include "server/cache_affinity.h"

#include <gmock/gmock.h>

namespace kvasir::server {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

HttpRequest from(Headers headers) {
  HttpRequest request;
  request.headers = std::move(headers);
  return request;
}

TEST(CacheAffinity, ASessionIsAFamily) {
  const auto found = cache_affinity(from({{"X-Claude-Code-Session-Id", "s"}}), {}, {});
  EXPECT_EQ(found.family, "s");
  EXPECT_THAT(found.ancestors, IsEmpty());
}

TEST(CacheAffinity, AnAgentIsAFamilyBehindItsSession) {
  const auto found =
      cache_affinity(from({{"x-claude-code-session-id", "s"}, {"x-claude-code-agent-id", "a"}}), {}, {});
  EXPECT_EQ(found.family, "s/a");
  EXPECT_THAT(found.ancestors, ElementsAre("s"));
}

TEST(CacheAffinity, AnAgentsAgentIsBehindBoth) {
  const auto found = cache_affinity(from({{"x-claude-code-session-id", "s"},
                                          {"x-claude-code-agent-id", "b"},
                                          {"x-claude-code-parent-agent-id", "a"}}),
                                    {}, {});
  EXPECT_EQ(found.family, "s/b");
  EXPECT_THAT(found.ancestors, ElementsAre("s", "s/a"));
}

TEST(CacheAffinity, TheUserHoldsTheSessionWhereHeadersAreMissing) {
  EXPECT_EQ(cache_affinity({}, {}, R"({"device_id":"d","account_uuid":"","session_id":"s"})").family, "s");
  EXPECT_EQ(cache_affinity({}, {}, "user_abc_account__session_s").family, "s");
  EXPECT_EQ(cache_affinity(from({{"x-claude-code-session-id", "t"}}), {}, R"({"session_id":"s"})").family,
            "t");
  for (const char* other : {"", "alice", "{}", R"({"session_id":3})", "[1]"})
    EXPECT_EQ(cache_affinity({}, {}, other).family, "") << other;
}

TEST(CacheAffinity, APromptCacheKeyGoesFirst) {
  const auto found =
      cache_affinity(from({{"x-claude-code-session-id", "s"}, {"x-claude-code-agent-id", "a"}}), "key",
                     R"({"session_id":"s"})");
  EXPECT_EQ(found.family, "key");
  EXPECT_THAT(found.ancestors, IsEmpty());
}

TEST(CacheAffinity, NamesAreBounded) {
  const std::string endless(10'000, 'x');
  EXPECT_LT(cache_affinity(from({{"x-claude-code-session-id", endless}, {"x-claude-code-agent-id", endless}}),
                           {}, {})
                .family.size(),
            1000U);
  EXPECT_LT(cache_affinity({}, endless, {}).family.size(), 1000U);
}

}  // namespace
}  // namespace kvasir::server
