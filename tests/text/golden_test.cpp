// Our tokens and renders against outside oracles (tools/oracle/make_text_golden.py says which).

#include "text/golden.h"

#include "text/chat_template.h"
#include "text/models.h"

namespace kvasir::text {
namespace {

constexpr std::int64_t kNow = 1784109805;  // NOW of tools/oracle/template_cases.py

std::string unhex(std::string_view hex) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes.push_back(static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  }
  return bytes;
}

void compare_tokens(const Model& model, const std::string& golden) {
  KVASIR_REQUIRE_MODEL(model);
  const boost::json::array cases = read_golden(golden);
  ASSERT_GT(cases.size(), 200u);
  for (const auto& value : cases) {
    const auto& c = value.as_object();
    const std::string text =
        c.contains("hex") ? unhex(c.at("hex").as_string()) : std::string(c.at("text").as_string());
    const auto special = c.at("special").as_bool() ? SpecialText::kParse : SpecialText::kAsText;
    const auto expected = boost::json::value_to<std::vector<TokenId>>(c.at("ids"));
    // Twice: the second time the segment cache answers.
    EXPECT_EQ(model.tokenizer->encode(text, special), expected) << boost::json::serialize(value);
    EXPECT_EQ(model.tokenizer->encode(text, special), expected) << boost::json::serialize(value);
  }
}

TEST(Golden, QwenTokens) {
  compare_tokens(qwen(), "tokens_qwen2.json");
}

TEST(Golden, SmolTokens) {
  compare_tokens(smol(), "tokens_smollm.json");
}

TEST(Golden, TemplatesRenderAsJinja2) {
  const boost::json::array contexts = read_golden("template_contexts.json");
  const boost::json::array cases = read_golden("templates.json");
  ASSERT_GT(cases.size(), 80u);
  for (const auto& value : cases) {
    const auto& c = value.as_object();
    const std::string source(c.at("template").as_string());
    auto compiled = ChatTemplate::compile(source);
    if (c.contains("error")) {
      // Python's refusals come out as errors here too, whether at compile or at render time.
      if (compiled.ok()) {
        auto rendered =
            (*compiled)->render(boost::json::serialize(contexts[c.at("context").as_int64()]), kNow);
        EXPECT_FALSE(rendered.ok()) << source << "\nrenders as: " << *rendered
                                    << "\nPython: " << c.at("error");
      }
      continue;
    }
    if (!compiled.ok()) {
      ADD_FAILURE() << source << "\ndoes not compile: " << compiled.error().message;
      continue;
    }
    auto rendered = (*compiled)->render(boost::json::serialize(contexts[c.at("context").as_int64()]), kNow);
    const std::string got = rendered.ok() ? *rendered : "error: " + rendered.error().message;
    EXPECT_EQ(got, std::string(c.at("text").as_string())) << source;
  }
}

}  // namespace
}  // namespace kvasir::text
