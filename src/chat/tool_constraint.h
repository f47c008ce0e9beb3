#pragma once
// What a request's tools and response format allow the sampler: engine::Constraint over text::GrammarMatcher.
//
//   required, named    the calls' grammar from the first token (after the thought, where the prompt opens
//   one) auto               free until an opening delimiter has been generated; then the call's grammar, then
//   free
//                      again, or the end where parallel calls are off. A bare call (see ToolFormat) is held
//                      to its tool's schema once `{"name": "<declared tool>", "arguments":` opens a line:
//                      earlier, a JSON answer that happens to begin with a name would be forced into a call
//   none               nothing, as without tools
//   json_object,       the answer's grammar from the first token; with tools, calls or the answer
//   json_schema
//
// A constraint is made on the request's thread (grammars compile there) and then belongs to the engine's.

#include <memory>

#include "base/error.h"
#include "chat/conversation.h"
#include "chat/tool_format.h"
#include "engine/constraint.h"
#include "text/grammar.h"
#include "text/tokenizer.h"

namespace kvasir::chat {

struct ConstraintContext {
  std::shared_ptr<text::GrammarFactory> grammars;  // null: nothing can be forced
  std::shared_ptr<const text::Tokenizer> tokenizer;
  const TemplateTraits* traits = nullptr;
  bool opens_reasoning = false;  // the answer begins inside a thought
};

// Null where everything is allowed. kInvalidArgument for a response schema that does not compile;
// kUnsupported where something must be forced and there is no grammar factory.
Result<std::unique_ptr<engine::Constraint>> make_constraint(const ConstraintContext& context,
                                                            const Conversation& conversation);

}  // namespace kvasir::chat
