#pragma once
// Tools as OpenAI's two APIs declare them: chat completions with an inner object, responses without.
// Functions, custom tools, which take one text instead of JSON, and namespaces of both; what runs on OpenAI's
// side is left out.

#include <string>
#include <string_view>
#include <vector>

#include "api/fields.h"
#include "api/generation.h"

namespace kvasir::api {

// The one parameter of a custom tool, as the model sees it.
inline constexpr std::string_view kCustomInput = "input";

struct OpenAiTools {
  std::vector<chat::Tool> tools;
  ToolOrigins origins;
};

// The model's name of a tool in a namespace, which may be empty.
std::string joined_tool_name(std::string_view name_space, std::string_view name);
// Throws FieldError.
OpenAiTools parse_openai_tools(const Fields& body);
// `tools`: those it may name. Throws FieldError.
chat::ToolChoice parse_openai_tool_choice(const Fields& body, const std::vector<chat::Tool>& tools);

}  // namespace kvasir::api
