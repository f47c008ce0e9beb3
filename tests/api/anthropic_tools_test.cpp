#include "api/anthropic_tools.h"

#include <gtest/gtest.h>

namespace kvasir::api {
namespace {

struct Parsed {
  chat::Conversation conversation;
  std::vector<std::string> warnings;
};

Parsed parse(const std::string& body) {
  const auto value = boost::json::parse(body);
  Parsed parsed;
  parse_anthropic_tools(Fields(value, ""), {}, parsed.conversation, parsed.warnings);
  return parsed;
}

TEST(AnthropicTools, ToolsThatTheClientRunsHaveTheirPublishedForm) {
  const Parsed parsed = parse(R"({"tools":[{"type":"bash_20250124","name":"bash"},
      {"type":"text_editor_20250728","name":"str_replace_based_edit_tool"},
      {"type":"text_editor_20250124","name":"str_replace_editor"},{"type":"memory_20250818","name":"memory"}]})");
  ASSERT_EQ(parsed.conversation.tools.size(), 4U);
  EXPECT_TRUE(parsed.warnings.empty());
  const auto properties = [&](std::size_t i) {
    std::string keys;
    for (const auto& entry : parsed.conversation.tools[i].parameters.at("properties").as_object())
      keys += std::string(entry.key()) + " ";
    return parsed.conversation.tools[i].name + ": " + keys;
  };
  EXPECT_EQ(properties(0), "bash: command restart ");
  EXPECT_EQ(properties(1),
            "str_replace_based_edit_tool: command path file_text old_str new_str insert_line view_range "
            "insert_text ");
  EXPECT_EQ(properties(2),
            "str_replace_editor: command path file_text old_str new_str insert_line view_range ");
  EXPECT_EQ(
      properties(3),
      "memory: command path view_range file_text old_str new_str insert_line insert_text old_path new_path ");
}

TEST(AnthropicTools, ServerToolsAreLeftOutWithAWarning) {
  const Parsed parsed = parse(R"({"tools":[{"type":"web_search_20250305","name":"web_search"},
      {"type":"computer_20250124","name":"computer","display_width_px":1,"display_height_px":1},
      {"type":"mcp_toolset","mcp_server_name":"s"},{"type":"custom","name":"f","input_schema":{"type":"object"}}]})");
  ASSERT_EQ(parsed.conversation.tools.size(), 1U);
  EXPECT_EQ(parsed.conversation.tools[0].name, "f");
  EXPECT_EQ(parsed.warnings.size(), 3U);
}

TEST(AnthropicTools, AForcedServerToolIsLeftToTheModel) {
  const Parsed parsed = parse(R"({"tools":[{"type":"web_search_20250305","name":"web_search"},{"name":"f"}],
      "tool_choice":{"type":"tool","name":"web_search","disable_parallel_tool_use":true}})");
  EXPECT_EQ(parsed.conversation.tool_choice.kind, chat::ToolChoice::Kind::kAuto);
  EXPECT_FALSE(parsed.conversation.parallel_tool_calls);
  EXPECT_THROW(parse(R"({"tools":[{"name":"f"}],"tool_choice":{"type":"tool","name":"g"}})"), FieldError);
}

}  // namespace
}  // namespace kvasir::api
