#include "chat/tool_constraint.h"

#include <algorithm>

#include "chat/call_trigger.h"
#include "chat/thought_watch.h"
#include "chat/tool_grammar.h"

namespace kvasir::chat {
namespace {

using text::GrammarFactory;
using text::GrammarMatcher;
using Mask = Result<std::optional<std::span<const std::uint32_t>>>;

bool ends_answer(const text::Tokenizer& tokenizer, TokenId token) {
  const auto ends = tokenizer.end_tokens();
  return std::find(ends.begin(), ends.end(), token) != ends.end();
}

// Compiles what `grammar_of` writes, with the strictest reading of the schemas that compiles.
template <class GrammarOf>
Result<std::unique_ptr<GrammarMatcher>> compile_loosening(GrammarFactory& grammars, GrammarOf grammar_of) {
  auto strict = grammars.compile_lark(grammar_of(SchemaReading::kStrict));
  if (strict) return strict;
  auto lenient = grammars.compile_lark(grammar_of(SchemaReading::kLenient));
  if (lenient) return lenient;
  return grammars.compile_lark(grammar_of(SchemaReading::kObject));
}

// The whole answer follows one grammar, once a thought that the prompt opened has been closed.
class WholeAnswer : public engine::Constraint {
 public:
  WholeAnswer(std::unique_ptr<GrammarMatcher> matcher, std::shared_ptr<const text::Tokenizer> tokenizer,
              ThoughtWatch thought)
      : matcher_(std::move(matcher)), tokenizer_(std::move(tokenizer)), thought_(std::move(thought)) {}

  Mask mask() override {
    if (thought_.inside()) return std::optional<std::span<const std::uint32_t>>();
    KVASIR_ASSIGN_OR_RETURN(const std::span<const std::uint32_t> allowed, matcher_->mask());
    return std::optional(allowed);
  }

  Status accept(TokenId token) override {
    if (ends_answer(*tokenizer_, token)) return {};
    if (!thought_.inside()) return matcher_->accept(token);
    thought_.feed(tokenizer_->bytes(token));
    return {};
  }

 private:
  std::unique_ptr<GrammarMatcher> matcher_;
  std::shared_ptr<const text::Tokenizer> tokenizer_;
  ThoughtWatch thought_;
};

// Free text in which every call that begins is held to its grammar.
class CallsOnTrigger : public engine::Constraint {
 public:
  CallsOnTrigger(std::shared_ptr<GrammarFactory> grammars, std::shared_ptr<const text::Tokenizer> tokenizer,
                 std::unique_ptr<GrammarMatcher> call_rest, const ToolFormat& format, std::vector<Tool> tools,
                 bool parallel, ThoughtWatch thought)
      : grammars_(std::move(grammars)),
        tokenizer_(std::move(tokenizer)),
        call_rest_(std::move(call_rest)),
        tools_(std::move(tools)),
        parallel_(parallel),
        trigger_(format, tools_),
        thought_(std::move(thought)) {}

  Mask mask() override {
    if (ended_) return std::optional<std::span<const std::uint32_t>>(end_mask());
    if (armed_ == nullptr) return std::optional<std::span<const std::uint32_t>>();
    KVASIR_ASSIGN_OR_RETURN(const std::span<const std::uint32_t> allowed, armed_->mask());
    return std::optional(allowed);
  }

  Status accept(TokenId token) override {
    if (ended_ || ends_answer(*tokenizer_, token)) return {};
    if (armed_ != nullptr) {
      KVASIR_RETURN_IF_ERROR(armed_->accept(token));
      leave_when_complete(tokenizer_->bytes(token));
      return {};
    }
    // A thought may speak of calls; it makes none.
    thought_.feed(tokenizer_->bytes(token));
    if (thought_.inside()) return {};
    const std::optional<CallTrigger::Hit> hit = trigger_.feed(tokenizer_->bytes(token));
    if (hit) arm(*hit);
    return {};
  }

 private:
  void arm(const CallTrigger::Hit& hit) {
    if (!hit.tool) {
      armed_ = call_rest_->clone();
    } else {
      auto compiled = compile_loosening(*grammars_, [&](SchemaReading reading) {
        return bare_call_rest_grammar(tools_[*hit.tool], parallel_, reading);
      });
      if (!compiled) return;  // no grammar can be had: the parser still reads the call
      armed_ = std::move(compiled).value();
    }
    // The token that completed the trigger may have gone on past it.
    for (const TokenId token : tokenizer_->encode(hit.rest, text::SpecialText::kAsText)) {
      if (armed_->accept(token).ok()) continue;
      armed_ = nullptr;  // what has been generated is no call any more
      return;
    }
    leave_when_complete(hit.rest);
  }

  void leave_when_complete(std::string_view last_bytes) {
    if (!armed_->is_accepting()) return;
    armed_ = nullptr;
    ended_ = !parallel_;
    trigger_.reset(!last_bytes.empty() && last_bytes.back() == '\n');
  }

  std::span<const std::uint32_t> end_mask() {
    if (end_mask_.empty()) {
      end_mask_.resize((tokenizer_->vocab_size() + 31) / 32);
      for (const TokenId token : tokenizer_->end_tokens()) {
        const auto bit = static_cast<std::uint32_t>(token);
        end_mask_[bit / 32] |= 1U << (bit % 32);
      }
    }
    return end_mask_;
  }

  std::shared_ptr<GrammarFactory> grammars_;
  std::shared_ptr<const text::Tokenizer> tokenizer_;
  std::unique_ptr<GrammarMatcher> call_rest_;  // pristine; each call gets a copy
  std::vector<Tool> tools_;
  bool parallel_;
  CallTrigger trigger_;
  ThoughtWatch thought_;
  std::unique_ptr<GrammarMatcher> armed_;
  bool ended_ = false;
  std::vector<std::uint32_t> end_mask_;
};

bool forces_calls(const ToolChoice& choice) {
  return choice.kind == ToolChoice::Kind::kRequired || choice.kind == ToolChoice::Kind::kNamed;
}

std::vector<Tool> callable_tools(const Conversation& conversation) {
  if (conversation.tool_choice.kind == ToolChoice::Kind::kNone) return {};
  if (conversation.tool_choice.kind != ToolChoice::Kind::kNamed) return conversation.tools;
  std::vector<Tool> named;
  for (const Tool& tool : conversation.tools) {
    if (tool.name == conversation.tool_choice.name) named.push_back(tool);
  }
  return named;
}

Result<std::unique_ptr<GrammarMatcher>> compile_answer(GrammarFactory& grammars,
                                                       const Conversation& conversation,
                                                       const ToolFormat& format,
                                                       const std::vector<Tool>& tools, bool thought) {
  const auto placed = [thought](std::string grammar) {
    return thought ? after_thought(std::move(grammar)) : grammar;
  };
  // Alone first, so that an error is the response schema's own.
  auto answer = grammars.compile_lark(placed(answer_grammar(conversation.response_format)));
  if (!answer) {
    return make_error(ErrorCode::kInvalidArgument,
                      "the schema cannot be used to constrain the answer: " + answer.error().message,
                      "response_format.json_schema.schema");
  }
  if (tools.empty()) return answer;
  return compile_loosening(grammars, [&](SchemaReading reading) {
    return placed(calls_or_answer_grammar(format, tools, conversation.parallel_tool_calls,
                                          conversation.response_format, reading));
  });
}

Result<std::unique_ptr<GrammarMatcher>> compile_calls(GrammarFactory& grammars, const ToolFormat& format,
                                                      const std::vector<Tool>& tools, bool parallel,
                                                      bool thought) {
  return compile_loosening(grammars, [&](SchemaReading reading) {
    std::string grammar = calls_grammar(format, tools, parallel, reading);
    return thought ? after_thought(std::move(grammar)) : grammar;
  });
}

// tool_choice auto.
std::unique_ptr<engine::Constraint> calls_on_trigger(const ConstraintContext& context,
                                                     const std::vector<Tool>& tools, bool parallel) {
  const ToolFormat& format = context.traits->format;
  auto call_rest = compile_loosening(*context.grammars, [&](SchemaReading reading) {
    return call_rest_grammar(format, tools, parallel, reading);
  });
  if (!call_rest) return nullptr;  // only the guarantee is lost, not the tools
  return std::make_unique<CallsOnTrigger>(context.grammars, context.tokenizer, std::move(call_rest).value(),
                                          format, tools, parallel,
                                          ThoughtWatch(context.traits->reasoning, context.opens_reasoning));
}

}  // namespace

Result<std::unique_ptr<engine::Constraint>> make_constraint(const ConstraintContext& context,
                                                            const Conversation& conversation) {
  const std::vector<Tool> tools = callable_tools(conversation);
  const bool forced_calls = forces_calls(conversation.tool_choice);
  const bool forced_answer = conversation.response_format.kind != ResponseFormat::Kind::kText;
  if (!forced_calls && !forced_answer) {
    if (tools.empty() || context.grammars == nullptr) return std::unique_ptr<engine::Constraint>();
    return calls_on_trigger(context, tools, conversation.parallel_tool_calls);
  }
  if (context.grammars == nullptr) {
    return make_error(ErrorCode::kUnsupported,
                      "this model has no grammar support, so no call or format can be forced",
                      forced_calls ? "tool_choice" : "response_format");
  }
  if (forced_calls && tools.empty()) {
    return make_error(ErrorCode::kInvalidArgument, "no declared tool can be called", "tool_choice");
  }

  const ToolFormat& format = context.traits->format;
  const bool thought = context.opens_reasoning;
  auto matcher = forced_calls ? compile_calls(*context.grammars, format, tools,
                                              conversation.parallel_tool_calls, thought)
                              : compile_answer(*context.grammars, conversation, format, tools, thought);
  if (!matcher) return std::move(matcher).error();
  // A thought that the model would open itself is not possible here: the grammar holds from the first token.
  const ReasoningFormat reasoning = thought ? context.traits->reasoning : ReasoningFormat();
  return std::unique_ptr<engine::Constraint>(std::make_unique<WholeAnswer>(
      std::move(matcher).value(), context.tokenizer, ThoughtWatch(reasoning, thought)));
}

}  // namespace kvasir::chat
