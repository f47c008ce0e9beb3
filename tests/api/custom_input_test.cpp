#include "api/custom_input.h"

#include <gtest/gtest.h>

namespace kvasir::api {
namespace {

TEST(CustomInput, EveryCutGivesTheText) {
  const std::string json = R"({"input": "a\n\"b\" \\ \u00fc \ud83d\ude80 漢字 {\"input\": 1}"})";
  const std::string text = "a\n\"b\" \\ ü 🚀 漢字 {\"input\": 1}";
  for (std::size_t first = 0; first <= json.size(); ++first) {
    for (std::size_t second = first; second <= json.size(); ++second) {
      CustomInput input;
      std::string read = input.feed(json.substr(0, first));
      read += input.feed(json.substr(first, second - first));
      read += input.feed(json.substr(second));
      ASSERT_EQ(read, text) << first << " " << second;
    }
  }
}

TEST(CustomInput, TextComesAsItIsWritten) {
  CustomInput input;
  EXPECT_EQ(input.feed("{\"input\": \"one"), "one");
  EXPECT_EQ(input.feed(" two\\"), " two");
  EXPECT_EQ(input.feed("n"), "\n");
}

TEST(CustomInput, OtherFieldsAndBrokenJsonAddNothing) {
  CustomInput other;
  EXPECT_EQ(other.feed(R"({"note": "x", "deep": {"input": "y"}, "input": "z"})"), "z");
  CustomInput broken;
  EXPECT_EQ(broken.feed(R"({"input": "kept" oops "lost")"), "kept");
  EXPECT_EQ(broken.feed("more"), "");
}

}  // namespace
}  // namespace kvasir::api
