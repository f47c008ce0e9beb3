#pragma once
// What a request's tools and response format allow the sampler: engine::Constraint over text::GrammarMatcher.
//
//   required, named    the calls' grammar from the first token; a thought may come first, where the model
//   thinks auto               free until something that opens a call has been generated; then the call's
//   grammar, then
//                      free again, or the end where parallel calls are off. A bare call (see ToolFormat) is
//                      held to its tool's schema once `{"name": "<declared tool>", "arguments":` opens a
//                      line: earlier, a JSON answer that happens to begin with a name would be forced into a
//                      call
//   none               nothing, as without tools
//   a response format  the answer's grammar, as for required; with tools, calls or the answer
//
// A tool's schema may use what the grammar engine does not know. Where a call is forced, that is the client's
// error; else the tool is held to what is known of its schema, and a warning says so.
//
// A constraint is made on the request's thread (grammars compile there) and then belongs to the engine's.

#include <memory>
#include <string>

#include "base/error.h"
#include "chat/conversation.h"
#include "chat/template_traits.h"
#include "engine/constraint.h"
#include "text/grammar.h"
#include "text/tokenizer.h"

namespace kvasir::chat {

struct ConstraintContext {
  text::Grammars grammars;  // of null: nothing can be forced
  std::shared_ptr<const text::Tokenizer> tokenizer;
  const TemplateTraits* traits = nullptr;
  // Of the rendered prompt:
  bool opens_reasoning = false;   // the answer begins inside a thought
  bool closes_reasoning = false;  // the prompt ends with a thought's end: there will be none
  std::string opens_call = {};    // the answer begins behind this opener of a call
};

struct ConstraintPlan {
  std::unique_ptr<engine::Constraint> constraint;  // null where everything is allowed
  bool holds_calls = false;  // a call that opens can only name a tool that may be called
  std::string warning;       // what of the request is not held to; empty where all is
};

// kInvalidArgument for a schema that must be held to and does not compile, naming it; kUnsupported where
// something must be forced and there is no grammar factory.
Result<ConstraintPlan> make_constraint(const ConstraintContext& context, const Conversation& conversation);

}  // namespace kvasir::chat
