#include "api/anthropic_tools.h"

#include <algorithm>

#include "api/anthropic_client_tools.h"

namespace kvasir::api {
namespace {

namespace json = boost::json;

// Fills conversation.tools; returns the names of those left out.
std::vector<std::string> parse_tools(const Fields& body, const ToolChanges& changes,
                                     chat::Conversation& conversation, std::vector<std::string>& warnings) {
  std::vector<std::string> left_out;
  const json::array* list = body.array("tools");
  if (list == nullptr) return left_out;
  for (std::size_t i = 0; i < list->size(); ++i) {
    const Fields tool((*list)[i], element_path("tools", i));
    const std::string type = tool.string("type").value_or("custom");
    if (type != "custom") {
      const std::string name = tool.string("name").value_or("");
      auto known = name.empty() ? std::nullopt : client_tool(type, name);
      if (known) {
        known->client_index = i;
        known->withdrawn = changes.removed.contains(name);
        conversation.tools.push_back(std::move(*known));
      } else {
        left_out.push_back(name);
        warnings.push_back(tool.path() + ": \"" + type + "\" is left out, this server cannot run it");
      }
      continue;
    }
    chat::Tool parsed;
    parsed.name = tool.required_string("name");
    if (parsed.name.empty()) field_error(tool.path_of("name"), "must not be empty");
    parsed.client_index = i;
    parsed.withdrawn = changes.removed.contains(parsed.name);
    parsed.deferred = tool.boolean("defer_loading").value_or(false);
    if (parsed.deferred && !changes.loaded.contains(parsed.name)) continue;
    parsed.description = tool.string("description").value_or("");
    if (const json::object* schema = tool.object("input_schema")) parsed.parameters = *schema;
    conversation.tools.push_back(std::move(parsed));
  }
  return left_out;
}

void parse_choice(const Fields& choice, const std::vector<std::string>& left_out,
                  chat::Conversation& conversation) {
  using Kind = chat::ToolChoice::Kind;
  conversation.parallel_tool_calls = !choice.boolean("disable_parallel_tool_use").value_or(false);
  const std::string type = choice.required_string("type");
  if (type == "auto") return;
  if (type == "none") {
    conversation.tool_choice.kind = Kind::kNone;
  } else if (type == "any") {
    // Where only server tools are declared there is nothing left that could be forced.
    if (!conversation.tools.empty()) conversation.tool_choice.kind = Kind::kRequired;
  } else if (type == "tool") {
    const std::string name = choice.required_string("name");
    const auto found = std::ranges::find(conversation.tools, name, &chat::Tool::name);
    if (found != conversation.tools.end()) {
      if (found->withdrawn)
        field_error(choice.path_of("name"), "\"" + name + "\" was taken away by a tool_removal");
      conversation.tool_choice = {Kind::kNamed, name};
    } else if (std::ranges::find(left_out, name) == left_out.end()) {
      field_error(choice.path_of("name"), "\"" + name + "\" is not declared in tools");
    }
  } else {
    field_error(choice.path_of("type"), "\"" + type + "\" is not one of auto, any, tool, none");
  }
}

}  // namespace

void parse_anthropic_tools(const Fields& body, const ToolChanges& changes, chat::Conversation& conversation,
                           std::vector<std::string>& warnings) {
  const std::vector<std::string> left_out = parse_tools(body, changes, conversation, warnings);
  if (const std::optional<Fields> choice = body.fields("tool_choice"))
    parse_choice(*choice, left_out, conversation);
}

}  // namespace kvasir::api
