#include "chat/tool_constraint.h"

#include <algorithm>

#include "chat/call_trigger.h"
#include "chat/number_limit.h"
#include "chat/repeated_calls.h"
#include "chat/thought_budget.h"
#include "chat/thought_watch.h"
#include "chat/token_mask.h"
#include "chat/token_text.h"
#include "chat/tool_grammar.h"
#include "chat/whole_answer.h"

namespace kvasir::chat {
namespace {

using text::GrammarFactory;
using text::GrammarMatcher;
using Mask = Result<std::optional<std::span<const std::uint32_t>>>;

// The tools that may be called, each with the strictest reading of its schema that compiles.
struct CallableTools {
  std::vector<Tool> tools;
  std::vector<SchemaReading> readings;  // one a tool

  std::vector<CallableTool> list() const {
    std::vector<CallableTool> all;
    all.reserve(tools.size());
    for (std::size_t i = 0; i < tools.size(); ++i) all.push_back({&tools[i], readings[i]});
    return all;
  }
};

// Free text in which every call that begins is held to its grammar.
class CallsOnTrigger : public engine::Constraint {
 public:
  CallsOnTrigger(const ConstraintContext& context, CallableTools tools, bool parallel)
      : grammars_(context.grammars.get()),
        tokenizer_(context.tokenizer),
        format_(context.traits->format),
        markers_(context.traits->markers),
        tools_(std::move(tools)),
        callable_(tools_.list()),
        parallel_(parallel),
        trigger_(format_, tools_.tools),
        thought_(context.traits->reasoning, context.opens_reasoning) {
    if (!context.opens_call.empty() && !context.opens_reasoning) arm({std::nullopt, context.opens_call, {}});
  }

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
    const std::string_view bytes = thought_.feed(tokenizer_->bytes(token));
    if (bytes.empty()) return {};
    const std::optional<CallTrigger::Hit> hit = trigger_.feed(bytes);
    if (hit) arm(*hit);
    return {};
  }

  std::vector<TokenId> take_forced(std::size_t most) override {
    if (ended_ || armed_ == nullptr) return {};
    std::vector<TokenId> tokens = armed_->take_forced(most);
    if (!tokens.empty()) leave_when_complete(tokenizer_->bytes(tokens.back()));
    return tokens;
  }
  std::vector<TokenId> take_forced_within(std::size_t most, std::size_t least) override {
    return armed_ == nullptr ? std::vector<TokenId>() : armed_->take_forced_within(most, least);
  }

 private:
  void arm(const CallTrigger::Hit& hit) {
    const std::string grammar =
        hit.tool ? bare_call_rest_grammar(callable_[*hit.tool], parallel_)
                 : call_rest_grammar({&format_, markers_, callable_, parallel_, {}}, hit.opener);
    auto compiled = grammars_->compile_lark(grammar);
    if (!compiled) return;  // no grammar can be had: the parser still reads the call
    armed_ = std::move(compiled).value();
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
      end_mask_.fill(tokenizer_->vocab_size(), false);
      for (const TokenId token : tokenizer_->end_tokens()) end_mask_.set(token);
    }
    return end_mask_.words();
  }

  std::shared_ptr<GrammarFactory> grammars_;
  std::shared_ptr<const text::Tokenizer> tokenizer_;
  const ToolFormat format_;
  const std::vector<Marker> markers_;
  const CallableTools tools_;
  const std::vector<CallableTool> callable_;  // points into tools_
  bool parallel_;
  CallTrigger trigger_;
  ThoughtWatch thought_;
  std::unique_ptr<GrammarMatcher> armed_;
  bool ended_ = false;
  TokenMask end_mask_;
};

bool forces_calls(const ToolChoice& choice) {
  return choice.kind == ToolChoice::Kind::kRequired || choice.kind == ToolChoice::Kind::kNamed;
}

std::vector<Tool> callable_tools(const Conversation& conversation) {
  const ToolChoice& choice = conversation.tool_choice;
  if (choice.kind == ToolChoice::Kind::kNone) return {};
  std::vector<Tool> callable;
  for (const Tool& tool : conversation.tools) {
    const bool named = choice.kind != ToolChoice::Kind::kNamed || tool.name == choice.name;
    const bool allowed =
        !choice.allowed || std::ranges::find(*choice.allowed, tool.name) != choice.allowed->end();
    if (named && allowed && !tool.withdrawn) callable.push_back(tool);
  }
  return callable;
}

class Planner {
 public:
  Planner(const ConstraintContext& context, const Conversation& conversation)
      : context_(context),
        conversation_(conversation),
        traits_(*context.traits),
        format_(conversation.response_format) {
    tools_.tools = callable_tools(conversation);
    tools_.readings.assign(tools_.tools.size(), SchemaReading::kStrict);
    // Where the arguments are no JSON, the engine does not see the whole schema unless it is shown it.
    const bool json =
        traits_.format.as<JsonCallStyle>() != nullptr || traits_.format.as<NamedJsonStyle>() != nullptr;
    if (!json && !tools_.tools.empty() && context.grammars.get() != nullptr) assess_schemas();
  }

  Result<ConstraintPlan> plan() {
    const bool forced_calls = forces_calls(conversation_.tool_choice);
    const bool forced_answer = format_.kind != ResponseFormat::Kind::kText;
    if (!forced_calls && !forced_answer) return on_trigger();
    if (context_.grammars.get() == nullptr) {
      return make_error(ErrorCode::kUnsupported,
                        "this model has no grammar support, so no call or format can be forced",
                        forced_calls ? "tool_choice" : format_.field);
    }
    if (forced_calls && tools_.tools.empty()) {
      return make_error(ErrorCode::kInvalidArgument, "no declared tool can be called", "tool_choice");
    }
    auto matcher = forced_calls ? compile_calls() : compile_answer();
    if (!matcher) return std::move(matcher).error();
    ConstraintPlan plan;
    plan.warning = warning_;
    plan.holds_calls = forced_calls;
    plan.constraint =
        std::make_unique<WholeAnswer>(std::move(matcher).value(), context_.tokenizer, traits_.reasoning,
                                      context_.opens_reasoning, thought_opening());
    return plan;
  }

 private:
  // tool_choice auto.
  Result<ConstraintPlan> on_trigger() {
    ConstraintPlan plan;
    if (tools_.tools.empty() || context_.grammars.get() == nullptr) return plan;
    // Compiled now, so that the engine's thread finds it compiled, and what cannot be held to is known.
    const std::vector<std::string> openers = call_openers(traits_.format);
    plan.holds_calls = compile_loosening([&] {
                         return openers.empty() ? bare_call_rest_grammar(tools_.list().front(), true)
                                                : call_rest_grammar(calls({}), openers.front());
                       }).ok();
    plan.constraint = std::make_unique<CallsOnTrigger>(context_, tools_, conversation_.parallel_tool_calls);
    plan.warning = warning_;
    return plan;
  }

  CallGrammarContext calls(std::string_view opened) {
    callable_ = tools_.list();
    return {&traits_.format, traits_.markers, callable_, conversation_.parallel_tool_calls, opened};
  }

  std::string placed(std::string grammar) const {
    const bool behind_thought = context_.opens_reasoning || !thought_opening().empty();
    return behind_thought ? after_thought(traits_.format, traits_.markers, std::move(grammar)) : grammar;
  }

  // A thinking model opens its thought itself, unless the prompt has done so, or has ended it.
  std::string thought_opening() const {
    if (!traits_.reasoning.known() || context_.opens_reasoning || context_.closes_reasoning) return {};
    if (!context_.opens_call.empty()) return {};
    return traits_.reasoning.open;
  }

  Result<std::unique_ptr<GrammarMatcher>> compile_calls() {
    if (problem_) return std::move(*problem_);
    auto compiled = context_.grammars.get()->compile_lark(placed(calls_grammar(calls(context_.opens_call))));
    if (compiled) return compiled;
    assess_schemas();
    if (problem_) return std::move(*problem_);
    return compiled;
  }

  Result<std::unique_ptr<GrammarMatcher>> compile_answer() {
    // Alone first, so that an error is the format's own.
    KVASIR_RETURN_IF_ERROR(settle_format());
    auto answer = context_.grammars.get()->compile_lark(
        placed(answer_grammar(traits_.format, traits_.markers, context_.opens_call, format_)));
    if (!answer || tools_.tools.empty()) return answer;
    return compile_loosening(
        [&] { return placed(calls_or_answer_grammar(calls(context_.opens_call), format_)); });
  }

  // A schema is held to in whole where that can be done, else as far as it can and with a warning, unless the
  // client insists.
  Status settle_format() {
    const bool strict = format_.strict;
    format_.strict = true;
    auto compiled = compile_format();
    if (compiled) return {};
    const std::string problem =
        format_.field + ": " +
        (format_.kind == ResponseFormat::Kind::kJsonSchema ? "the schema cannot be enforced: "
                                                           : "the grammar cannot be used: ");
    const std::string words = problem + reason(compiled.error().message);
    if (format_.kind == ResponseFormat::Kind::kJsonSchema && !strict) {
      format_.strict = false;
      if (compile_format()) {
        warning_ = words;
        return {};
      }
    }
    return make_error(ErrorCode::kInvalidArgument, words, format_.field);
  }

  // A grammar as it was written, so that the places in an error are the writer's.
  Result<std::unique_ptr<GrammarMatcher>> compile_format() const {
    if (format_.kind == ResponseFormat::Kind::kGrammar)
      return context_.grammars.get()->compile_lark(format_.grammar);
    return context_.grammars.get()->compile_lark(
        answer_grammar(traits_.format, traits_.markers, context_.opens_call, format_));
  }

  // Compiles what `grammar_of` writes, with the strictest reading of each tool's schema that compiles.
  template <class GrammarOf>
  Result<std::unique_ptr<GrammarMatcher>> compile_loosening(GrammarOf grammar_of) {
    auto strict = context_.grammars.get()->compile_lark(grammar_of());
    if (strict) return strict;
    assess_schemas();
    auto assessed = context_.grammars.get()->compile_lark(grammar_of());
    if (assessed) return assessed;
    std::ranges::fill(tools_.readings, SchemaReading::kObject);
    return context_.grammars.get()->compile_lark(grammar_of());
  }

  // Which tools' schemas do not compile, and how far each is to be loosened.
  void assess_schemas() {
    for (std::size_t i = 0; i < tools_.tools.size(); ++i) {
      const Tool& tool = tools_.tools[i];
      SchemaReading& reading = tools_.readings[i];
      while (reading != SchemaReading::kObject) {
        auto compiled =
            context_.grammars.get()->compile_lark("start: " + arguments_rule(tool.parameters, reading));
        if (compiled) {
          const CallableTool callable{&tool, reading};
          compiled = context_.grammars.get()->compile_lark(
              calls_grammar({&traits_.format, traits_.markers, {&callable, 1}, false, {}}));
        }
        if (compiled) break;
        if (reading == SchemaReading::kStrict) note(tool, compiled.error().message);
        reading = reading == SchemaReading::kStrict ? SchemaReading::kLenient : SchemaReading::kObject;
      }
    }
  }

  // The engine's words for a person: the first line, without where in the grammar it stands.
  static std::string reason(std::string_view words) {
    words = words.substr(0, words.find('\n'));
    constexpr std::string_view kPlace = "JSON schema: ";
    const std::size_t at = words.find(kPlace);
    words.remove_prefix(at == std::string_view::npos ? 0 : at + kPlace.size());
    // It may quote the grammar; what is wrong stands at the end.
    constexpr std::size_t kEnds = 150;
    if (words.size() <= 3 * kEnds) return std::string(words);
    return std::string(words.substr(0, kEnds)) + " ... " + std::string(words.substr(words.size() - kEnds));
  }

  void note(const Tool& tool, const std::string& words) {
    const auto at = std::ranges::find(conversation_.tools, tool.name, &Tool::name);
    const std::string place = "tools[" + std::to_string(at - conversation_.tools.begin()) + "]";
    const std::string sentence =
        place + " (" + tool.name + "): its schema cannot be enforced: " + reason(words);
    if (!problem_) problem_ = make_error(ErrorCode::kInvalidArgument, sentence, place);
    warning_ += (warning_.empty() ? "" : "; ") + sentence;
  }

  const ConstraintContext& context_;
  const Conversation& conversation_;
  const TemplateTraits& traits_;
  ResponseFormat format_;
  CallableTools tools_;
  std::vector<CallableTool> callable_;
  std::string warning_;
  std::optional<Error> problem_;
};

}  // namespace

Result<ConstraintPlan> make_constraint(const ConstraintContext& context, const Conversation& conversation) {
  auto plan = Planner(context, conversation).plan();
  if (!plan) return plan;
  plan->constraint = limit_numbers(context, conversation, std::move(plan->constraint));
  plan->constraint = end_repetition(context, conversation, plan->holds_calls, std::move(plan->constraint));
  plan->constraint = limit_thought(context, conversation.thinking, std::move(plan->constraint));
  return plan;
}

}  // namespace kvasir::chat
