#include "api/openai_completions.h"

#include <limits>

#include "api/fields.h"
#include "api/openai_fields.h"
#include "api/response_format.h"

namespace kvasir::api {
namespace {

namespace json = boost::json;

// What OpenAI's endpoint gives when nothing is said.
constexpr std::uint32_t kDefaultTokens = 16;
constexpr std::size_t kPromptsMax = 128;

std::vector<TokenId> parse_tokens(const json::array& list, const std::string& path) {
  std::vector<TokenId> tokens;
  tokens.reserve(list.size());
  for (std::size_t i = 0; i < list.size(); ++i) {
    boost::system::error_code failed;
    const auto token = list[i].to_number<TokenId>(failed);
    if (failed || token < 0) field_error(element_path(path, i), "must be a token id");
    tokens.push_back(token);
  }
  return tokens;
}

void parse_prompts(const Fields& body, CompletionRequest& request) {
  const json::value* prompt = body.find("prompt");
  if (prompt == nullptr)
    field_error("prompt", "is required: a string, a list of strings or lists of token ids");
  if (prompt->is_string()) {
    request.prompts.emplace_back(to_string(*prompt));
    return;
  }
  if (!prompt->is_array()) field_error("prompt", "must be a string, a list of strings or lists of token ids");
  const json::array& list = prompt->get_array();
  if (list.empty()) field_error("prompt", "must not be empty");
  if (list.front().is_number()) {
    request.prompts.emplace_back(parse_tokens(list, "prompt"));
    return;
  }
  if (list.size() > kPromptsMax)
    field_error("prompt", "must be at most " + std::to_string(kPromptsMax) + " prompts");
  for (std::size_t i = 0; i < list.size(); ++i) {
    const std::string path = element_path("prompt", i);
    if (list[i].is_string()) {
      request.prompts.emplace_back(to_string(list[i]));
    } else if (list[i].is_array()) {
      request.prompts.emplace_back(parse_tokens(list[i].get_array(), path));
    } else {
      field_error(path, "must be a string or a list of token ids");
    }
  }
}

}  // namespace

Result<CompletionRequest> parse_openai_completions(std::string_view body) {
  KVASIR_ASSIGN_OR_RETURN(const json::value value, parse_body(body));
  try {
    const Fields fields(value, "");
    CompletionRequest request;
    request.options = parse_openai_options(fields);
    const auto tokens = fields.integer("max_tokens", 0, std::numeric_limits<std::int32_t>::max());
    request.options.max_tokens = static_cast<std::uint32_t>(tokens.value_or(kDefaultTokens));
    if (const auto logprobs = fields.integer("logprobs", 0, 20)) {
      request.options.logprobs = static_cast<std::uint32_t>(*logprobs);
    }
    request.echo = fields.boolean("echo").value_or(false);
    request.suffix = fields.string("suffix").value_or("");
    parse_prompts(fields, request);
    request.format = parse_answer_format(fields);
    return request;
  } catch (const FieldError& error) {
    return error.error();
  }
}

}  // namespace kvasir::api
