#pragma once
// What a request says that its answer must be, under any of the names that servers give it: OpenAI's
// `response_format` and `text`, vLLM's and MLX-Textgen's `guided_*`, vLLM's `structured_outputs`,
// llama-server's `grammar` and `json_schema`, SGLang's `regex` and `ebnf`.

#include "api/fields.h"
#include "chat/conversation.h"

namespace kvasir::api {

// Throws FieldError, also where two fields ask for something.
chat::ResponseFormat parse_answer_format(const Fields& body);
// {"type": "json_schema", "schema": {...}}, Anthropic's form.
chat::ResponseFormat parse_anthropic_format(const Fields& body);

}  // namespace kvasir::api
