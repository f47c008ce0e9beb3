#pragma once
// POST /tokenize, /detokenize and /apply-template, as users of vLLM and of llama-server know them: the fields
// of both are taken, the answers hold the names of both.
//
// Text is `prompt` (vLLM's, with the beginning-of-text token unless add_special_tokens is false) or `content`
// (llama-server's, without it unless add_special is true); `messages` is a conversation (vLLM's) through the
// chat template, which writes that token itself.

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/documents.h"
#include "api/generation.h"
#include "api/response_builder.h"
#include "base/error.h"

namespace kvasir::api {

// A conversation as its template writes it.
struct TemplateRequest {
  ChatRequest chat;
  bool add_generation_prompt = true;
};

struct TokenizeRequest {
  std::string model;  // as the client named it; may be empty
  std::string text;
  std::optional<TemplateRequest> conversation;  // instead of text
  bool add_special = false;                     // the beginning-of-text token, where the model knows one
  bool parse_special = true;                    // texts of control tokens are these tokens
  bool with_pieces = false;                     // llama-server's: `tokens` are objects with their texts
  bool with_strings = false;                    // vLLM's: the texts apart, in `token_strs`
};

struct DetokenizeRequest {
  std::string model;
  std::vector<TokenId> tokens;
};

// kInvalidArgument names the field.
Result<TokenizeRequest> parse_tokenize(std::string_view body, const PdfReader& pdfs = no_pdf_reader());
Result<DetokenizeRequest> parse_detokenize(std::string_view body);
Result<TemplateRequest> parse_apply_template(std::string_view body, const PdfReader& pdfs = no_pdf_reader());

// `context_tokens`: the most that a conversation may hold here.
std::string tokenize_body(const TokenizeRequest& request, std::span<const TokenId> tokens,
                          std::uint32_t context_tokens, const TokenBytes& bytes);
std::string detokenize_body(std::string_view text);
std::string apply_template_body(std::string_view prompt);

}  // namespace kvasir::api
