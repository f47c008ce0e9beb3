#pragma once
// OpenAI's response object and its event stream.

#include <boost/json.hpp>
#include <functional>
#include <memory>

#include "api/response_builder.h"

namespace kvasir::api {

struct ResponsesOptions {
  boost::json::object echo;         // ResponsesRequest::echo
  bool encrypted_thoughts = false;  // thoughts also as the encrypted_content that clients send back
  // Called with the response that has been completed, before the client has all of it; may be empty.
  std::function<void(const boost::json::object& response)> on_response;
};

std::unique_ptr<ResponseBuilder> make_openai_responses_response(ResponseOptions options,
                                                                ResponsesOptions responses);

}  // namespace kvasir::api
