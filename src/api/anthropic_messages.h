#pragma once
// Anthropic's POST /v1/messages and /v1/messages/count_tokens: the request. The answer is in
// anthropic_response.
//
// Clients such as Claude Code send more than a local model has a use for (betas, server tools, metadata):
// what cannot be used is left out, with a warning where the answer may suffer. The exceptions are an image or
// a file in the user's newest message that the model cannot be shown: anthropic_blocks.h, documents.h.

#include <optional>
#include <string>
#include <string_view>

#include "api/documents.h"
#include "api/generation.h"
#include "base/error.h"

namespace kvasir::api {

// kInvalidArgument names the field in the message and in `subject`.
// `signer`: the client's own, which tells its thoughts from others'. `pdfs`: where it does not know a text
// yet, the request says so (ChatRequest::awaits_documents).
Result<ChatRequest> parse_anthropic_messages(std::string_view body, const ThoughtSigner& signer = {},
                                             const PdfReader& pdfs = no_pdf_reader());
// The same without max_tokens, which this endpoint does not have.
Result<ChatRequest> parse_anthropic_count_tokens(std::string_view body, const ThoughtSigner& signer = {},
                                                 const PdfReader& pdfs = no_pdf_reader());

// `original_tokens`: before context_management, where the request has it.
std::string anthropic_count_body(std::size_t input_tokens, std::optional<std::size_t> original_tokens);

}  // namespace kvasir::api
