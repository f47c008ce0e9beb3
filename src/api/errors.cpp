#include "api/errors.h"

#include <boost/json.hpp>

namespace kvasir::api {
namespace {

namespace json = boost::json;

constexpr int kOverloaded = 529;  // Anthropic's own status for it

const char* openai_type(ErrorCode code) {
  switch (code) {
    case ErrorCode::kUnauthenticated:
      return "authentication_error";
    case ErrorCode::kForbidden:
      return "permission_error";
    case ErrorCode::kResourceExhausted:
    case ErrorCode::kUnavailable:
      return "service_unavailable_error";
    default:
      return http_status(Dialect::kOpenAi, code) >= 500 ? "server_error" : "invalid_request_error";
  }
}

json::value openai_code(ErrorCode code) {
  switch (code) {
    case ErrorCode::kUnauthenticated:
      return "invalid_api_key";
    case ErrorCode::kNotFound:
      return "not_found";
    case ErrorCode::kContextOverflow:
      return "context_length_exceeded";
    case ErrorCode::kResourceExhausted:
      return "overloaded";
    default:
      return nullptr;
  }
}

const char* anthropic_type(ErrorCode code) {
  switch (code) {
    case ErrorCode::kUnauthenticated:
      return "authentication_error";
    case ErrorCode::kForbidden:
      return "permission_error";
    case ErrorCode::kNotFound:
      return "not_found_error";
    case ErrorCode::kTooLarge:
      return "request_too_large";
    case ErrorCode::kResourceExhausted:
    case ErrorCode::kUnavailable:
      return "overloaded_error";
    case ErrorCode::kCancelled:
      return "timeout_error";
    default:
      return http_status(Dialect::kAnthropic, code) >= 500 ? "api_error" : "invalid_request_error";
  }
}

}  // namespace

int http_status(Dialect dialect, ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kContextOverflow:
    case ErrorCode::kUnsupported:
      return 400;
    case ErrorCode::kUnauthenticated:
      return 401;
    case ErrorCode::kForbidden:
      return 403;
    case ErrorCode::kNotFound:
      return 404;
    case ErrorCode::kCancelled:
      return dialect == Dialect::kAnthropic ? 504 : 408;
    case ErrorCode::kTooLarge:
      return 413;
    case ErrorCode::kResourceExhausted:
      return dialect == Dialect::kAnthropic ? kOverloaded : 503;
    case ErrorCode::kUnavailable:
      return 503;
    case ErrorCode::kCorruptData:
    case ErrorCode::kIo:
    case ErrorCode::kInternal:
      break;
  }
  return 500;
}

bool is_retryable(ErrorCode code) {
  return http_status(Dialect::kOpenAi, code) == 503;
}

std::string error_body(Dialect dialect, const Error& error, const std::string& request_id) {
  if (dialect == Dialect::kAnthropic) {
    json::object inner{{"type", anthropic_type(error.code)}, {"message", error.message}};
    json::object body{{"type", "error"}, {"error", std::move(inner)}};
    if (!request_id.empty()) body["request_id"] = request_id;
    return json::serialize(body);
  }
  json::value param = nullptr;
  if (!error.subject.empty()) param = error.subject;
  json::object inner{{"message", error.message},
                     {"type", openai_type(error.code)},
                     {"param", std::move(param)},
                     {"code", openai_code(error.code)}};
  return json::serialize(json::object{{"error", std::move(inner)}});
}

std::string error_event(Dialect dialect, const Error& error, const std::string& request_id) {
  const std::string body = error_body(dialect, error, request_id);
  return dialect == Dialect::kAnthropic ? "event: error\ndata: " + body + "\n\n" : "data: " + body + "\n\n";
}

Error prompt_too_long(Dialect dialect, std::size_t prompt_tokens, std::size_t context_tokens) {
  const std::string prompt = std::to_string(prompt_tokens);
  const std::string context = std::to_string(context_tokens);
  if (dialect == Dialect::kAnthropic) {
    return make_error(ErrorCode::kContextOverflow,
                      "prompt is too long: " + prompt + " tokens > " + context + " maximum", "messages");
  }
  return make_error(ErrorCode::kContextOverflow,
                    "This model's maximum context length is " + context + " tokens, but the prompt has " +
                        prompt + " tokens and leaves no room for an answer. Shorten the prompt.",
                    "messages");
}

}  // namespace kvasir::api
