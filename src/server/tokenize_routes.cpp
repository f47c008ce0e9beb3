#include "server/tokenize_routes.h"

#include "server/answer.h"

namespace kvasir::server {
namespace {

constexpr api::Dialect kDialect = api::Dialect::kOpenAi;

Result<std::string> text_of(const api::TemplateRequest& request, const LoadedModel& model) {
  const chat::Conversation& conversation = request.chat.conversation;
  if (!conversation.continues_answer)
    return model.renderer->render_text(conversation, request.add_generation_prompt);
  KVASIR_ASSIGN_OR_RETURN(chat::RenderedPrompt prompt, model.renderer->render(conversation));
  return std::move(prompt.text);
}

}  // namespace

HttpResponse tokenize_response(const api::TokenizeRequest& request, const LoadedModel& model) {
  const text::Tokenizer& tokenizer = *model.tokenizer;
  Result<std::string> text = request.conversation ? text_of(*request.conversation, model) : request.text;
  if (!text.ok()) return error_response(kDialect, text.error());
  std::vector<TokenId> tokens;
  if (request.add_special && tokenizer.adds_bos()) tokens.push_back(tokenizer.bos());
  const auto encoded =
      tokenizer.encode(*text, request.parse_special ? text::SpecialText::kParse : text::SpecialText::kAsText);
  tokens.insert(tokens.end(), encoded.begin(), encoded.end());
  return json_response(200, api::tokenize_body(request, tokens, model.engine->context_length(),
                                               [&](TokenId token) { return tokenizer.bytes(token); }));
}

HttpResponse detokenize_response(const api::DetokenizeRequest& request, const LoadedModel& model) {
  const std::size_t known = model.tokenizer->vocab_size();
  for (std::size_t i = 0; i < request.tokens.size(); ++i) {
    if (static_cast<std::size_t>(request.tokens[i]) < known) continue;
    const std::string path = "tokens[" + std::to_string(i) + "]";
    return error_response(kDialect, make_error(ErrorCode::kInvalidArgument,
                                               path + ": " + std::to_string(request.tokens[i]) +
                                                   " is outside the vocabulary of " + std::to_string(known),
                                               path));
  }
  return json_response(200, api::detokenize_body(model.tokenizer->decode(request.tokens, false)));
}

HttpResponse apply_template_response(const api::TemplateRequest& request, const LoadedModel& model) {
  const Result<std::string> text = text_of(request, model);
  if (!text.ok()) return error_response(kDialect, text.error());
  return json_response(200, api::apply_template_body(*text));
}

}  // namespace kvasir::server
