#include "api/deferred_tools.h"

#include "chat/history.h"

namespace kvasir::api {
namespace {

namespace json = boost::json;

json::array* list_of(json::object& object, std::string_view key) {
  json::value* found = object.if_contains(key);
  return found == nullptr ? nullptr : found->if_array();
}

std::string string_of(const json::object& object, std::string_view key) {
  const json::value* found = object.if_contains(key);
  return found != nullptr && found->is_string() ? std::string(found->get_string()) : std::string();
}

class Loader {
 public:
  explicit Loader(json::object& body) : body_(body) {}

  ToolChanges load() {
    if (json::array* messages = list_of(body_, "messages")) {
      for (json::value& message : *messages) load_in(message);
    }
    if (!added_.empty()) {
      if (list_of(body_, "tools") == nullptr) body_["tools"] = json::array();
      json::array& tools = *list_of(body_, "tools");
      tools.insert(tools.end(), added_.begin(), added_.end());
    }
    return std::move(changes_);
  }

 private:
  // A message, or a tool result.
  void load_in(json::value& owner) {
    json::object* object = owner.if_object();
    json::array* blocks = object == nullptr ? nullptr : list_of(*object, "content");
    if (blocks == nullptr) return;
    for (json::value& block : *blocks) {
      if (json::object* fields = block.if_object()) load_block(*fields, block);
    }
  }

  void load_block(json::object& block, json::value& whole) {
    const std::string type = string_of(block, "type");
    if (type == "tool_result") return load_in(whole);
    if (type == "compaction") return load_summary(block);
    if (type == "tool_reference") return say(block, loaded_text(string_of(block, "tool_name")));
    if (type != "tool_addition" && type != "tool_removal") return;
    json::value* tool = block.if_contains("tool");
    const json::object* named = tool == nullptr ? nullptr : tool->if_object();
    // Tools of MCP servers that the API would call are not here, but their names may be.
    if (named == nullptr || string_of(*named, "type").starts_with("mcp_")) return say(block, {});
    const std::string name = string_of(*named, "name");
    if (type == "tool_removal") {
      changes_.removed.insert(name);
      return say(block, "The tool " + name + " is gone: do not call it any more.");
    }
    if (const json::value* definition = named->if_contains("definition")) return add(block, *definition);
    changes_.removed.erase(name);
    say(block, loaded_text(name));
  }

  // What changed in the turns that a compaction stands for.
  void load_summary(json::object& block) {
    json::array* changes = list_of(block, "tool_changes");
    if (changes == nullptr) return;
    std::string text = string_of(block, "content");
    for (json::value& change : *changes) {
      json::object* fields = change.if_object();
      if (fields == nullptr) continue;
      load_block(*fields, change);
      const std::string said = string_of(*fields, "text");
      text += (text.empty() || said.empty() ? "" : "\n") + said;
    }
    block["content"] = text;
  }

  void add(json::object& block, const json::value& definition) {
    const json::object* given = definition.if_object();
    if (given == nullptr) return say(block, {});
    const std::string name = string_of(*given, "name");
    changes_.removed.erase(name);
    if (find(name) == nullptr) {
      json::object tool = *given;
      tool["defer_loading"] = true;
      added_.push_back(std::move(tool));
    }
    say(block, loaded_text(name));
  }

  const json::object* find(std::string_view name) {
    for (const json::array* tools : {list_of(body_, "tools"), &added_}) {
      if (tools == nullptr) continue;
      for (const json::value& tool : *tools) {
        const json::object* fields = tool.if_object();
        if (fields != nullptr && string_of(*fields, "name") == name) return fields;
      }
    }
    return nullptr;
  }

  std::string loaded_text(const std::string& name) {
    const json::object* found = find(name);
    if (found == nullptr || changes_.removed.contains(name))
      return "The tool " + name + " is not there any more.";
    changes_.loaded.insert(name);
    chat::Tool tool;
    tool.name = name;
    tool.description = string_of(*found, "description");
    if (const json::value* schema = found->if_contains("input_schema")) tool.parameters = *schema;
    return "The tool " + name + " can be called from here on:\n" + chat::tool_text(tool);
  }

  static void say(json::object& block, std::string text) {
    block = {{"type", "text"}, {"text", std::move(text)}};
  }

  json::object& body_;
  json::array added_;  // tools that additions define
  ToolChanges changes_;
};

}  // namespace

ToolChanges load_deferred_tools(json::value& body) {
  json::object* fields = body.if_object();
  return fields == nullptr ? ToolChanges() : Loader(*fields).load();
}

}  // namespace kvasir::api
