#include "api/openai_tools.h"

#include <algorithm>

namespace kvasir::api {
namespace {

namespace json = boost::json;

bool names_a_tool(std::string_view type) {
  return type == "function" || type == "custom";
}

chat::Tool parse_function(const Fields& function) {
  chat::Tool tool;
  tool.name = function.required_string("name");
  if (tool.name.empty()) field_error(function.path_of("name"), "must not be empty");
  tool.description = function.string("description").value_or("");
  if (const json::object* parameters = function.object("parameters")) tool.parameters = *parameters;
  return tool;
}

// A regular expression holds as a pattern. Lark's grammars speak of the text before it is a JSON string, so
// the model is only told of them.
void describe_format(const Fields& format, chat::Tool& tool, json::object& input) {
  if (format.required_string("type") != "grammar") return;
  const std::optional<Fields> inner = format.fields("grammar");  // chat completions'
  const Fields& grammar = inner ? *inner : format;
  const std::string syntax = grammar.required_string("syntax");
  const std::string definition = grammar.required_string("definition");
  if (syntax == "regex") {
    input["pattern"] = "^(" + definition + ")$";
  } else {
    tool.description += (tool.description.empty() ? "" : "\n\n") +
                        std::string("The input follows this grammar (") + syntax + "):\n" + definition;
  }
}

// A tool that takes one text as it is: here a function of one parameter.
chat::Tool parse_custom(const Fields& custom) {
  chat::Tool tool = parse_function(custom);
  json::object input{{"type", "string"}};
  if (const std::optional<Fields> format = custom.fields("format")) describe_format(*format, tool, input);
  tool.parameters = json::object{{"type", "object"},
                                 {"properties", json::object{{kCustomInput, std::move(input)}}},
                                 {"required", json::array{kCustomInput}},
                                 {"additionalProperties", false}};
  return tool;
}

void add_tool(const Fields& tool, const std::string& name_space, OpenAiTools& to) {
  const std::string type = tool.string("type").value_or("function");
  if (!names_a_tool(type)) return;  // runs on OpenAI's side; nothing here could
  const std::optional<Fields> inner = tool.fields(type);
  const bool custom = type == "custom";
  if (!inner && tool.find("name") == nullptr)
    field_error(tool.path_of(type), "is required and must be an object");
  chat::Tool parsed = custom ? parse_custom(inner ? *inner : tool) : parse_function(inner ? *inner : tool);
  if (custom || !name_space.empty()) {
    const std::string own = parsed.name;
    parsed.name = joined_tool_name(name_space, own);
    to.origins[parsed.name] = {own, name_space, custom};
  }
  to.tools.push_back(std::move(parsed));
}

// {"type": "allowed_tools", "allowed_tools": {"mode": "auto" or "required", "tools": [{"type": "function",
// ...}]}}; the Responses API has no inner object.
chat::ToolChoice parse_allowed_tools(const Fields& choice, const std::vector<chat::Tool>& tools) {
  using Kind = chat::ToolChoice::Kind;
  const std::optional<Fields> inner = choice.fields("allowed_tools");
  const Fields& allowed = inner ? *inner : choice;
  const std::string mode = allowed.string("mode").value_or("auto");
  if (mode != "auto" && mode != "required") {
    field_error(allowed.path_of("mode"), "\"" + mode + "\" is not one of auto, required");
  }
  const json::array* list = allowed.array("tools");
  if (list == nullptr) field_error(allowed.path_of("tools"), "is required: a list of functions");
  std::vector<std::string> names;
  for (std::size_t i = 0; i < list->size(); ++i) {
    const Fields tool((*list)[i], element_path(allowed.path_of("tools"), i));
    const std::string type = tool.string("type").value_or("function");
    if (!names_a_tool(type)) continue;
    const std::optional<Fields> inner_tool = tool.fields(type);
    const Fields& named = inner_tool ? *inner_tool : tool;
    std::string name = named.required_string("name");
    const bool declared = std::ranges::find(tools, name, &chat::Tool::name) != tools.end();
    if (!declared) field_error(named.path_of("name"), "\"" + name + "\" is not declared in tools");
    names.push_back(std::move(name));
  }
  if (mode == "required" && names.empty()) {
    field_error(allowed.path_of("tools"), "\"required\" needs at least one function");
  }
  return {mode == "required" ? Kind::kRequired : Kind::kAuto, {}, std::move(names)};
}

}  // namespace

std::string joined_tool_name(std::string_view name_space, std::string_view name) {
  if (name_space.empty()) return std::string(name);
  return std::string(name_space) + (name_space.ends_with("__") ? "" : "__") + std::string(name);
}

OpenAiTools parse_openai_tools(const Fields& body) {
  OpenAiTools parsed;
  const json::array* list = body.array("tools");
  if (list == nullptr) return parsed;
  for (std::size_t i = 0; i < list->size(); ++i) {
    const Fields tool((*list)[i], element_path("tools", i));
    if (tool.string("type").value_or("") != "namespace") {
      add_tool(tool, {}, parsed);
      continue;
    }
    const std::string name = tool.required_string("name");
    const json::array* members = tool.array("tools");
    for (std::size_t k = 0; members != nullptr && k < members->size(); ++k) {
      add_tool(Fields((*members)[k], element_path(tool.path_of("tools"), k)), name, parsed);
    }
  }
  return parsed;
}

chat::ToolChoice parse_openai_tool_choice(const Fields& body, const std::vector<chat::Tool>& tools) {
  using Kind = chat::ToolChoice::Kind;
  const json::value* value = body.find("tool_choice");
  if (value == nullptr) return {};
  // {"type": "auto"} is not in the book, but is sent.
  const json::value* type = value->is_object() ? value->get_object().if_contains("type") : value;
  const bool by_word = type != nullptr && type->is_string() && !names_a_tool(type->get_string());
  if (by_word) {
    const std::string choice = to_string(*type);
    if (choice == "auto") return {};
    if (choice == "none") return {Kind::kNone};
    if (choice == "allowed_tools" && value->is_object()) {
      return parse_allowed_tools(Fields(*value, "tool_choice"), tools);
    }
    if (choice == "required") {
      if (tools.empty()) field_error("tool_choice", "\"required\" needs at least one function in tools");
      return {Kind::kRequired};
    }
    field_error("tool_choice", "\"" + choice + "\" is not one of none, auto, required");
  }
  if (!value->is_object()) field_error("tool_choice", "must be a string or an object that names a function");
  const Fields choice(*value, "tool_choice");
  const std::optional<Fields> inner = choice.fields(choice.string("type").value_or("function"));
  const std::string name = inner ? inner->required_string("name") : choice.required_string("name");
  const bool declared =
      std::any_of(tools.begin(), tools.end(), [&](const auto& tool) { return tool.name == name; });
  if (!declared) field_error("tool_choice", "\"" + name + "\" is not declared in tools");
  return {Kind::kNamed, name};
}

}  // namespace kvasir::api
