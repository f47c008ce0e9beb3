#include "api/response_format.h"

#include <gtest/gtest.h>

#include "api/anthropic_messages.h"
#include "api/openai_completions.h"

namespace kvasir::api {
namespace {

namespace json = boost::json;
using Kind = chat::ResponseFormat::Kind;

chat::ResponseFormat format_of(const std::string& body) {
  const json::value value = json::parse(body);
  return parse_answer_format(Fields(value, ""));
}

TEST(AnswerFormat, NothingAskedIsText) {
  EXPECT_EQ(format_of("{}").kind, Kind::kText);
  EXPECT_EQ(format_of(R"({"response_format":{"type":"text"},"guided_json":null,"grammar":""})").kind,
            Kind::kText);
  EXPECT_EQ(format_of(R"({"guided_decoding_backend":"x","guided_whitespace_pattern":" ?"})").kind,
            Kind::kText);
}

TEST(AnswerFormat, SchemasUnderAllTheirNames) {
  struct Case {
    std::string body, field;
    bool strict;
  };
  const std::vector<Case> cases{
      {R"({"response_format":{"type":"json_schema","json_schema":{"name":"n","description":"d","strict":true,
          "schema":{"type":"array"}}}})",
       "response_format.json_schema.schema", true},
      {R"({"response_format":{"type":"json_schema","json_schema":{"schema":{"type":"array"}}}})",
       "response_format.json_schema.schema", false},
      {R"({"response_format":{"type":"json_schema","schema":{"type":"array"}}})", "response_format.schema",
       false},
      {R"({"response_format":{"type":"json_object","schema":{"type":"array"}}})", "response_format.schema",
       false},
      {R"({"guided_json":{"type":"array"}})", "guided_json", true},
      {R"({"guided_json":"{\"type\":\"array\"}"})", "guided_json", true},
      {R"({"structured_outputs":{"json":{"type":"array"}}})", "structured_outputs.json", true},
      {R"({"json_schema":{"type":"array"}})", "json_schema", false},
  };
  for (const Case& one : cases) {
    const chat::ResponseFormat format = format_of(one.body);
    EXPECT_EQ(format.kind, Kind::kJsonSchema) << one.body;
    EXPECT_EQ(json::serialize(format.schema), R"({"type":"array"})") << one.body;
    EXPECT_EQ(format.field, one.field);
    EXPECT_EQ(format.strict, one.strict) << one.body;
  }
}

TEST(AnswerFormat, GrammarsUnderAllTheirNames) {
  for (
      const char* body : {
          R"({"guided_regex":"ab"})",
          R"({"guided_choice":["ab"]})",
          R"({"guided_grammar":"root ::= \"ab\""})",
          R"({"guided_grammar":"start: \"ab\""})",
          R"({"structured_outputs":{"regex":"ab"}})",
          R"({"structured_outputs":{"choice":["ab"]}})",
          R"({"structured_outputs":{"grammar":"root ::= \"ab\""}})",
          R"({"structured_outputs":{"structural_tag":"{\"format\":{\"type\":\"const_string\",\"value\":\"ab\"}}"}})",
          R"({"grammar":"root ::= \"ab\""})",
          R"({"regex":"ab"})",
          R"({"ebnf":"root ::= \"ab\""})",
          R"({"response_format":{"type":"grammar","grammar":"root ::= \"ab\""}})",
          R"({"response_format":{"type":"regex","pattern":"ab"}})",
          R"({"response_format":{"type":"structural_tag","format":{"type":"const_string","value":"ab"}}})",
      }) {
    const chat::ResponseFormat format = format_of(body);
    EXPECT_EQ(format.kind, Kind::kGrammar) << body;
    EXPECT_NE(format.grammar.find("start:"), std::string::npos) << body;
    EXPECT_NE(format.grammar.find("ab"), std::string::npos) << body;
  }
  EXPECT_EQ(format_of(R"({"structured_outputs":{"json_object":true}})").kind, Kind::kJsonObject);
}

TEST(AnswerFormat, CompletionsAndAnthropicHaveThemToo) {
  const auto completion = parse_openai_completions(R"({"prompt":"p","guided_choice":["a","b"]})");
  ASSERT_TRUE(completion.ok());
  EXPECT_EQ(completion->format.kind, Kind::kGrammar);
  const std::string head = R"({"max_tokens":5,"messages":[{"role":"user","content":"U"}],)";
  for (const char* field :
       {R"("output_format":{"type":"json_schema","schema":{"type":"object"}}})",
        R"("output_config":{"format":{"type":"json_schema","schema":{"type":"object"}}}})"}) {
    const auto messages = parse_anthropic_messages(head + field);
    ASSERT_TRUE(messages.ok()) << messages.error().message;
    EXPECT_EQ(messages->conversation.response_format.kind, Kind::kJsonSchema);
  }
  EXPECT_TRUE(parse_anthropic_messages(head + R"("output_config":{"effort":"high"}})").ok());
}

}  // namespace
}  // namespace kvasir::api
