#include "text/chat_template.h"

#include <gtest/gtest.h>

#include "text/models.h"

namespace kvasir::text {
namespace {

std::string render(std::string_view source, std::string_view context, std::int64_t now = 0) {
  auto compiled = ChatTemplate::compile(source);
  if (!compiled.ok()) return "compile: " + compiled.error().message;
  auto rendered = (*compiled)->render(context, now);
  return rendered.ok() ? *rendered : "render: " + rendered.error().message;
}

TEST(ChatTemplate, QwenTemplateOfTheFile) {
  KVASIR_REQUIRE_MODEL(qwen());
  const auto source = qwen().file->string("tokenizer.chat_template");
  ASSERT_TRUE(source.has_value());
  EXPECT_EQ(
      render(*source, R"({"messages":[{"role":"user","content":"Hi"}],"add_generation_prompt":true})"),
      "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n"
      "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
}

TEST(ChatTemplate, JsonKeepsKeyOrderAndFloats) {
  EXPECT_EQ(render("{{ x | tojson }}", R"({"x":{"z":1.0,"a":[1,"é",null,true],"f":1e20,"t":0.00001}})"),
            R"({"z": 1.0, "a": [1, "é", null, true], "f": 1e+20, "t": 1e-05})");
}

TEST(ChatTemplate, RaiseExceptionSpeaksInItsOwnWords) {
  auto compiled = ChatTemplate::compile("{{ raise_exception('roles must alternate') }}");
  ASSERT_TRUE(compiled.ok());
  auto rendered = (*compiled)->render("{}", 0);
  ASSERT_FALSE(rendered.ok());
  EXPECT_EQ(rendered.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(rendered.error().message, "roles must alternate");
}

TEST(ChatTemplate, SyntaxErrorIsCorruptData) {
  auto compiled = ChatTemplate::compile("a\n{% if %}");
  ASSERT_FALSE(compiled.ok());
  EXPECT_EQ(compiled.error().code, ErrorCode::kCorruptData);
  EXPECT_NE(compiled.error().message.find("line 2"), std::string::npos) << compiled.error().message;
}

TEST(ChatTemplate, RunawayTemplateIsStopped) {
  EXPECT_NE(render("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", "{}")
                .find("render: "),
            std::string::npos);
}

TEST(ChatTemplate, GenerationTagsVanish) {
  EXPECT_EQ(render("a\n{%- generation -%}\n b{% endgeneration %}\nc", "{}"), "abc");
}

TEST(ChatTemplate, Clock) {
  EXPECT_EQ(render("{{ strftime_now('%d %b %Y, %A %H:%M:%S %j %-d %I %p %%') }}", "{}", 1709209805),
            "29 Feb 2024, Thursday 12:30:05 060 29 12 PM %");
  EXPECT_EQ(render("{{ strftime_now('%Y-%m-%d') }}", "{}", -1), "1969-12-31");
  EXPECT_EQ(render("{{ strftime_now('%F %T') }}", "{}", 4102444799), "2099-12-31 23:59:59");
}

}  // namespace
}  // namespace kvasir::text
