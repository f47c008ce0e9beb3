// Against the authors' own vectors (github.com/veorq/SipHash, vectors.h, vectors_sip128): key 00 01 .. 0f,
// text 00 01 .. of n bytes.

#include "base/siphash.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <string>

namespace kvasir {
namespace {

std::string hex_of_count(int bytes) {
  SipKey key{};
  for (std::size_t i = 0; i < key.size(); ++i) key[i] = static_cast<std::uint8_t>(i);
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(i);
  std::string hex;
  for (const std::uint8_t byte : siphash(key, text)) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", byte);
    hex += digits;
  }
  return hex;
}

TEST(SipHash, GivesTheAuthorsVectors) {
  EXPECT_EQ(hex_of_count(0), "a3817f04ba25a8e66df67214c7550293");
  EXPECT_EQ(hex_of_count(1), "da87c1d86b99af44347659119b22fc45");
  EXPECT_EQ(hex_of_count(7), "a1f1ebbed8dbc153c0b84aa61ff08239");
  EXPECT_EQ(hex_of_count(8), "3b62a9ba6258f5610f83e264f31497b4");
  EXPECT_EQ(hex_of_count(15), "5493e99933b0a8117e08ec0f97cfc3d9");
  EXPECT_EQ(hex_of_count(16), "6ee2a4ca67b054bbfd3315bf85230577");
  EXPECT_EQ(hex_of_count(63), "5150d1772f50834a503e069a973fbd7c");
}

}  // namespace
}  // namespace kvasir
