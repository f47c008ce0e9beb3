#pragma once
// How a request says whether, how much and how visibly the model is to think: OpenAI's own field, and those
// that clients of the other servers of open models send. docs/guides/reasoning.md lists them.

#include "api/fields.h"
#include "api/generation.h"

namespace kvasir::api {

// reasoning_effort, reasoning {effort, max_tokens, enabled, exclude}, enable_thinking, chat_template_kwargs,
// the names of a thought's budget, include_reasoning and reasoning_format. Fields that contradict each other
// are an error, as are values that are not known. Throws FieldError.
void parse_openai_reasoning(const Fields& body, ChatRequest& request);

// thinking {type, budget_tokens, display} and output_config.effort. Throws FieldError.
void parse_anthropic_thinking(const Fields& body, ChatRequest& request);

}  // namespace kvasir::api
