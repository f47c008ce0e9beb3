#include "api/anthropic_client_tools.h"

#include <initializer_list>
#include <utility>

namespace kvasir::api {
namespace {

namespace json = boost::json;

using Properties = std::initializer_list<std::pair<std::string_view, json::value>>;

json::value text(const char* description) {
  return json::object{{"type", "string"}, {"description", description}};
}
json::value number(const char* description) {
  return json::object{{"type", "integer"}, {"description", description}};
}
json::value lines(const char* description) {
  return json::object{
      {"type", "array"}, {"items", json::object{{"type", "integer"}}}, {"description", description}};
}
json::value one_of(std::initializer_list<std::string_view> words) {
  json::array values;
  for (const std::string_view word : words) values.emplace_back(word);
  return json::object{{"type", "string"}, {"enum", std::move(values)}};
}

json::value schema(Properties properties, std::initializer_list<std::string_view> required) {
  json::object shapes;
  for (const auto& [key, shape] : properties) shapes[key] = shape;
  json::array names;
  for (const std::string_view name : required) names.emplace_back(name);
  return json::object{{"type", "object"}, {"properties", std::move(shapes)}, {"required", std::move(names)}};
}

chat::Tool bash() {
  return {{},
          "Run a command in a bash shell that keeps its state between calls.",
          schema({{"command", text("The command to run.")},
                  {"restart", json::object{{"type", "boolean"},
                                           {"description", "true restarts the shell; no command then."}}}},
                 {})};
}

chat::Tool text_editor(std::string_view type) {
  // The older ones take the inserted text as new_str and can undo.
  const bool older = type == "text_editor_20241022" || type == "text_editor_20250124";
  json::value commands = older ? one_of({"view", "create", "str_replace", "insert", "undo_edit"})
                               : one_of({"view", "create", "str_replace", "insert"});
  json::value shape = schema(
      {{"command", std::move(commands)},
       {"path", text("Path of the file or folder.")},
       {"file_text", text("create: what the file is to hold.")},
       {"old_str", text("str_replace: the text to replace; it must occur exactly once.")},
       {"new_str", text(older ? "str_replace and insert: the new text." : "str_replace: the new text.")},
       {"insert_line", number("insert: the line behind which to insert; 0 is the beginning.")},
       {"view_range", lines("view: first and last line; -1 is the end of the file.")}},
      {"command", "path"});
  if (!older)
    shape.as_object()["properties"].as_object()["insert_text"] = text("insert: the text to insert.");
  return {{}, "View, create and edit text files.", std::move(shape)};
}

chat::Tool memory() {
  return {{},
          "Keep notes in files below /memories that outlast the conversation. View the folder first.",
          schema({{"command", one_of({"view", "create", "str_replace", "insert", "delete", "rename"})},
                  {"path", text("Path of the file or folder; every command but rename needs it.")},
                  {"view_range", lines("view: first and last line.")},
                  {"file_text", text("create: what the file is to hold.")},
                  {"old_str", text("str_replace: the text to replace.")},
                  {"new_str", text("str_replace: the new text.")},
                  {"insert_line", number("insert: the line at which to insert.")},
                  {"insert_text", text("insert: the text to insert.")},
                  {"old_path", text("rename: the path as it is.")},
                  {"new_path", text("rename: the path as it is to be.")}},
                 {"command"})};
}

}  // namespace

std::optional<chat::Tool> client_tool(std::string_view type, const std::string& name) {
  chat::Tool tool;
  if (type.starts_with("bash_")) {
    tool = bash();
  } else if (type.starts_with("text_editor_")) {
    tool = text_editor(type);
  } else if (type.starts_with("memory_")) {
    tool = memory();
  } else {
    return std::nullopt;
  }
  tool.name = name;
  return tool;
}

}  // namespace kvasir::api
