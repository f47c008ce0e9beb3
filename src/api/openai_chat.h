#pragma once
// OpenAI's POST /v1/chat/completions: the request. The answer is in openai_chat_response.

#include <string_view>

#include "api/documents.h"
#include "api/generation.h"
#include "base/error.h"

namespace kvasir::api {

// kInvalidArgument names the field in the message and in `subject`.
Result<ChatRequest> parse_openai_chat(std::string_view body, const PdfReader& pdfs = no_pdf_reader());

}  // namespace kvasir::api
