#include "server/url.h"

#include <gtest/gtest.h>

namespace kvasir::server {
namespace {

TEST(Url, DecodesWhatIsEncodedAndKeepsTheRest) {
  EXPECT_EQ(percent_decoded("Qwen%2FQwen3%2d0.6B"), "Qwen/Qwen3-0.6B");
  EXPECT_EQ(percent_decoded("100%"), "100%");
  EXPECT_EQ(percent_decoded("%zz%4"), "%zz%4");
}

TEST(Url, FindsAValueOfAQuery) {
  EXPECT_EQ(query_value("limit=5&after_id=a%2Fb", "after_id"), "a/b");
  EXPECT_EQ(query_value("limit=5&limit=6", "limit"), "5");
  EXPECT_EQ(query_value("a&&limit=", "limit"), "");
  EXPECT_EQ(query_value("a&b=2", "a"), "");
  EXPECT_EQ(query_value("beforelimit=5", "limit"), std::nullopt);
  EXPECT_EQ(query_value("", "limit"), std::nullopt);
}

}  // namespace
}  // namespace kvasir::server
