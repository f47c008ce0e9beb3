#include "api/tokenize.h"

#include "api/fields.h"
#include "api/openai_chat.h"
#include "text/tokenizer.h"

namespace kvasir::api {
namespace {

namespace json = boost::json;

// The same wish under vLLM's name and llama-server's.
bool either(const Fields& body, const char* one, const char* other, bool otherwise) {
  const auto first = body.boolean(one);
  const auto second = body.boolean(other);
  if (first && second && *first != *second)
    field_error(body.path_of(other), "contradicts " + std::string(one));
  return first ? *first : second.value_or(otherwise);
}

TemplateRequest template_request(const Fields& fields, std::string_view body, const PdfReader& pdfs) {
  if (fields.find("chat_template") != nullptr)
    field_error("chat_template", "is not taken from requests; start the server with --chat-template");
  auto chat = parse_openai_chat(body, pdfs);
  if (!chat) throw FieldError(chat.error());
  return {std::move(*chat), fields.boolean("add_generation_prompt").value_or(true)};
}

TokenizeRequest tokenize_request(const Fields& fields, std::string_view body, const PdfReader& pdfs) {
  TokenizeRequest request;
  request.model = fields.string("model").value_or("");
  request.parse_special = fields.boolean("parse_special").value_or(true);
  request.with_pieces = fields.boolean("with_pieces").value_or(false);
  request.with_strings = fields.boolean("return_token_strs").value_or(false);
  const char* given = nullptr;
  for (const char* key : {"prompt", "content", "messages"}) {
    if (fields.find(key) == nullptr) continue;
    if (given != nullptr) field_error(key, "cannot be combined with " + std::string(given));
    given = key;
  }
  if (given == nullptr) field_error("prompt", "is required: text (or `content`), or a list `messages`");
  const std::string_view kind = given;
  if (kind == "messages") {
    request.conversation = template_request(fields, body, pdfs);
  } else {
    request.text = fields.required_string(kind);
  }
  request.add_special = either(fields, "add_special_tokens", "add_special", kind == "prompt");
  return request;
}

std::string readable(std::string_view bytes) {
  text::StreamDecoder decoder;
  std::string text = decoder.feed(bytes);
  return text + decoder.finish();
}

// llama-server's form: text where it is some, else its bytes.
json::value piece_of(std::string_view bytes) {
  std::string text = readable(bytes);
  if (text == bytes) return json::value(text);
  json::array list;
  for (const char c : bytes) list.emplace_back(static_cast<unsigned char>(c));
  return list;
}

template <class Parse>
auto parse_with(std::string_view body, Parse parse)
    -> Result<decltype(parse(std::declval<const Fields&>()))> {
  KVASIR_ASSIGN_OR_RETURN(const json::value value, parse_body(body));
  try {
    return parse(Fields(value, ""));
  } catch (const FieldError& error) {
    return error.error();
  }
}

}  // namespace

Result<TokenizeRequest> parse_tokenize(std::string_view body, const PdfReader& pdfs) {
  return parse_with(body, [&](const Fields& fields) { return tokenize_request(fields, body, pdfs); });
}

Result<DetokenizeRequest> parse_detokenize(std::string_view body) {
  return parse_with(body, [](const Fields& fields) {
    DetokenizeRequest request;
    request.model = fields.string("model").value_or("");
    const json::array* tokens = fields.array("tokens");
    if (tokens == nullptr) field_error("tokens", "is required: a list of token ids");
    for (std::size_t i = 0; i < tokens->size(); ++i) {
      boost::system::error_code failed;
      const auto token = (*tokens)[i].to_number<TokenId>(failed);
      if (failed || token < 0) field_error(element_path("tokens", i), "must be a token id");
      request.tokens.push_back(token);
    }
    return request;
  });
}

Result<TemplateRequest> parse_apply_template(std::string_view body, const PdfReader& pdfs) {
  return parse_with(body, [&](const Fields& fields) { return template_request(fields, body, pdfs); });
}

std::string tokenize_body(const TokenizeRequest& request, std::span<const TokenId> tokens,
                          std::uint32_t context_tokens, const TokenBytes& bytes) {
  json::array list;
  json::array strings;
  for (const TokenId token : tokens) {
    if (request.with_pieces) {
      list.push_back(json::object{{"id", token}, {"piece", piece_of(bytes(token))}});
    } else {
      list.push_back(token);
    }
    if (request.with_strings) strings.push_back(json::value(readable(bytes(token))));
  }
  json::object body{{"count", tokens.size()}, {"max_model_len", context_tokens}, {"tokens", std::move(list)}};
  body["token_strs"] = request.with_strings ? json::value(std::move(strings)) : json::value(nullptr);
  return json::serialize(body);
}

std::string detokenize_body(std::string_view text) {
  const std::string whole = readable(text);
  return json::serialize(json::object{{"prompt", whole}, {"content", whole}});
}

std::string apply_template_body(std::string_view prompt) {
  return json::serialize(json::object{{"prompt", prompt}});
}

}  // namespace kvasir::api
