// Every block kind of the API as the text that the prompt has for it.

#include "api/anthropic_blocks.h"

#include <gtest/gtest.h>

#include "api/anthropic_messages.h"

namespace kvasir::api {
namespace {

std::string text_of(const std::string& block) {
  const auto value = boost::json::parse(block);
  return block_text(Fields(value, "b"));
}

TEST(AnthropicBlocks, DocumentsShowTitleContextAndText) {
  EXPECT_EQ(text_of(R"({"type":"document","title":"T","context":"C","source":{"type":"text","data":"D"}})"),
            "T\nC\nD");
  EXPECT_EQ(text_of(R"({"type":"document","source":{"type":"content","content":"D"}})"), "D");
  EXPECT_EQ(text_of(R"({"type":"document","title":"T","source":{"type":"content","content":[
      {"type":"text","text":"a"},{"type":"text","text":"b"},{"type":"image","source":{}}]}})"),
            "T\na\nb\n[image omitted: this model reads text only]");
}

TEST(AnthropicBlocks, DocumentsWithoutTextSayWhatWasLeftOut) {
  EXPECT_EQ(text_of(R"({"type":"document","title":"T","source":{"type":"url","url":"https://x/y.pdf"}})"),
            "T\n[document https://x/y.pdf omitted: this model reads text only]");
  EXPECT_EQ(text_of(R"({"type":"document","source":{"type":"file","file_id":"file_1"}})"),
            "[document file_1 omitted: this model reads text only]");
  EXPECT_EQ(
      text_of(
          R"({"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"JVBERi0="}})"),
      "[document application/pdf omitted: this model reads text only]");
}

TEST(AnthropicBlocks, ResultsOfServerToolsShowTheirText) {
  EXPECT_EQ(
      text_of(R"({"type":"search_result","title":"T","source":"S","content":[{"type":"text","text":"a"}]})"),
      "T\nS\na");
  EXPECT_EQ(text_of(R"({"type":"server_tool_use","id":"s","name":"web_search","input":{"query":"q"}})"),
            "[web_search {\"query\":\"q\"}]");
  EXPECT_EQ(text_of(R"({"type":"web_search_tool_result","tool_use_id":"s","content":[
      {"type":"web_search_result","title":"T","url":"U","encrypted_content":"e","page_age":"1 day"},
      {"type":"web_search_result","title":"V","url":"W","encrypted_content":"e"}]})"),
            "T\nU\nV\nW");
  EXPECT_EQ(text_of(R"({"type":"web_search_tool_result","tool_use_id":"s","content":
      {"type":"web_search_tool_result_error","error_code":"unavailable"}})"),
            "unavailable");
  EXPECT_EQ(text_of(R"({"type":"web_fetch_tool_result","tool_use_id":"s","content":{"type":"web_fetch_result",
      "url":"U","content":{"type":"document","title":"T","source":{"type":"text","data":"D"}}}})"),
            "U\nT\nD");
  EXPECT_EQ(text_of(R"({"type":"code_execution_tool_result","tool_use_id":"s","content":{
      "type":"code_execution_result","stdout":"o","stderr":"e","return_code":1,"content":[{"type":"code_execution_output","file_id":"f"}]}})"),
            "o\ne");
  EXPECT_EQ(text_of(R"({"type":"tool_search_tool_result","tool_use_id":"s","content":{
      "type":"tool_search_tool_search_result","tool_references":[{"type":"tool_reference","tool_name":"f"}]}})"),
            "f");
}

TEST(AnthropicBlocks, McpBlocksAndSummariesShowTheirText) {
  EXPECT_EQ(text_of(R"({"type":"mcp_tool_use","id":"m","name":"f","server_name":"s","input":{}})"), "[f {}]");
  EXPECT_EQ(text_of(R"({"type":"mcp_tool_result","tool_use_id":"m","content":[{"type":"text","text":"r"}]})"),
            "r");
  EXPECT_EQ(text_of(R"({"type":"mcp_tool_result","tool_use_id":"m","content":"r"})"), "r");
  EXPECT_EQ(text_of(R"({"type":"compaction","content":"So far."})"), "So far.");
}

TEST(AnthropicBlocks, WhatHasNoTextSaysNothing) {
  for (const char* block :
       {R"({"type":"redacted_thinking","data":"x"})", R"({"type":"container_upload","file_id":"f"})",
        R"({"type":"compaction","content":null})", R"({"type":"something_new","data":[1,2]})"}) {
    EXPECT_EQ(text_of(block), "") << block;
  }
}

// Where an image may stand, and where it is refused.
std::string error_of(const std::string& messages) {
  const auto parsed = parse_anthropic_messages(R"({"max_tokens":1,"messages":[)" + messages + "]}");
  return parsed.ok() ? "" : parsed.error().message;
}

const std::string kImage =
    R"({"type":"image","source":{"type":"base64","media_type":"image/png","data":"iVBORw0KGgo="}})";

TEST(AnthropicBlocks, AnImageInANewMessageIsRefusedByItsPlace) {
  EXPECT_EQ(
      error_of(R"({"role":"user","content":[{"type":"text","text":"Look"},)" + kImage + "]}"),
      "messages[0].content[1]: could not process image: this model reads text only. Leave the image out, "
      "or describe it in words");
}

TEST(AnthropicBlocks, ImagesOfToolsAndOfEarlierMessagesLeaveANote) {
  const std::string call =
      R"({"role":"user","content":"U"},{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"Read","input":{}}]},)";
  EXPECT_EQ(
      error_of(call + R"({"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":[)" +
               kImage + "]}]}"),
      "");
  EXPECT_EQ(error_of(call + R"({"role":"user","content":[{"type":"tool_result","tool_use_id":"t"},)" +
                     kImage + "]}"),
            "");
  EXPECT_EQ(error_of(R"({"role":"user","content":[)" + kImage +
                     R"(]},{"role":"assistant","content":"A"},{"role":"user","content":"U"})"),
            "");
}

}  // namespace
}  // namespace kvasir::api
