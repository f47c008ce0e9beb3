#pragma once
// What a request asks for, as the engine, the output parser and the response builder want it.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "api/errors.h"
#include "api/generation.h"
#include "api/response_builder.h"
#include "chat/output_parser.h"
#include "chat/prompt.h"
#include "server/model_slot.h"
#include "server/server.h"

namespace kvasir::server {

// One answer to `prompt`, the `answer`-th: each has a seed of its own, the first the given one. `defaults`
// fill in what the request leaves open. Errors: an empty prompt, and one that leaves no room in the context.
Result<engine::Request> engine_request(const api::GenerationOptions& options, const ServerOptions& defaults,
                                       const std::vector<TokenId>& prompt, std::uint32_t answer,
                                       const LoadedModel& model, api::Dialect dialect);

struct ParserWish {
  api::Dialect dialect;
  bool holds_calls;          // ConstraintPlan::holds_calls
  bool thoughts_in_content;  // as text, with their tags
};
std::unique_ptr<chat::OutputParser> output_parser(const chat::Conversation& conversation,
                                                  const chat::TemplateTraits& traits,
                                                  const chat::RenderedPrompt& prompt, const ParserWish& wish);

// `model_id`: what the answer calls a model that the request does not name.
api::ResponseOptions response_options(const api::GenerationOptions& options, const ServerOptions& defaults,
                                      const LoadedModel& model, const std::string& model_id,
                                      std::size_t choices);

}  // namespace kvasir::server
