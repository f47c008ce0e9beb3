#pragma once
// OpenAI's POST /v1/responses: the request. The answer is in openai_responses_response.
//
// Everything may be in `input`, or the turns before it in an earlier response, which `previous_response_id`
// names and the caller keeps. Items that only OpenAI's own tools write (web_search_call, ...) are left out.

#include <boost/json.hpp>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "api/documents.h"
#include "api/generation.h"
#include "base/error.h"

namespace kvasir::api {

struct ResponsesRequest {
  ChatRequest chat;
  boost::json::object echo;  // the request's fields that every response object repeats
  boost::json::array items;  // this request's own input, as items, files as their text
  std::string previous;      // previous_response_id, or empty
  bool store = true;
  bool encrypted_thoughts = false;  // include: ["reasoning.encrypted_content"]
};

// The items of an earlier response, its input included, or nothing where it is not known.
using EarlierItems = std::function<std::optional<boost::json::array>(const std::string& id)>;

// kInvalidArgument names the field in the message and in `subject`; kNotFound: no such earlier response.
// Where chat.awaits_documents, nothing else of it is of use.
Result<ResponsesRequest> parse_openai_responses(std::string_view body, const EarlierItems& earlier,
                                                const PdfReader& pdfs = no_pdf_reader());

}  // namespace kvasir::api
