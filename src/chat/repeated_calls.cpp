#include "chat/repeated_calls.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "chat/closing_marks.h"
#include "chat/output_parser.h"
#include "chat/token_mask.h"
#include "chat/token_text.h"
#include "text/tokenizer.h"

namespace kvasir::chat {
namespace {

constexpr int kMostOfOne = 8;

using Mask = Result<std::optional<std::span<const std::uint32_t>>>;

OutputParserOptions reading_options(const ConstraintContext& context, const Conversation& conversation,
                                    bool declared_only) {
  OutputParserOptions options = parser_options(*context.traits, conversation);
  options.declared_only = declared_only;
  options.starts_in_reasoning = context.opens_reasoning;
  options.starts_in_call = context.opens_call;
  options.make_id = [] { return std::string("call"); };
  return options;
}

class RepeatedCalls : public engine::Constraint {
 public:
  RepeatedCalls(const ConstraintContext& context, const Conversation& conversation, bool declared_only,
                std::unique_ptr<engine::Constraint> inner)
      : inner_(std::move(inner)),
        tokenizer_(context.tokenizer),
        shown_(context.traits->shown_tokens()),
        parser_(reading_options(context, conversation, declared_only)),
        behind_call_(context.traits->format),
        closing_(behind_call_) {}

  Mask mask() override {
    std::optional<std::span<const std::uint32_t>> allowed;
    if (inner_ != nullptr) {
      KVASIR_ASSIGN_OR_RETURN(allowed, inner_->mask());
    }
    if (!ending_) return allowed;
    if (only_ends(allowed) || (allowed && no_further_call(*allowed))) return std::optional(mask_.words());
    return allowed;
  }

  Status accept(TokenId token) override {
    if (inner_ != nullptr) KVASIR_RETURN_IF_ERROR(inner_->accept(token));
    follow(token);
    return {};
  }

  std::vector<TokenId> take_forced(std::size_t most) override {
    if (inner_ == nullptr || ending_) return {};
    return followed(inner_->take_forced(most));
  }

  std::vector<TokenId> take_forced_within(std::size_t most, std::size_t least) override {
    if (inner_ == nullptr || ending_) return {};
    return followed(inner_->take_forced_within(most, least));
  }

 private:
  std::vector<TokenId> followed(std::vector<TokenId> taken) {
    for (const TokenId token : taken) follow(token);
    return taken;
  }

  void follow(TokenId token) {
    if (ends_answer(*tokenizer_, token)) return;
    const std::string_view bytes = tokenizer_->bytes(token);
    if (ending_ && !in_call_) closing_.feed(bytes);
    if (tokenizer_->is_special(token) && std::ranges::find(shown_, token) == shown_.end()) return;
    events_.clear();
    parser_.feed(decoder_.feed(bytes), events_);
    for (const OutputEvent& event : events_) {
      if (const auto* begun = std::get_if<ToolCallBegin>(&event)) {
        call_ = begun->name + '\n';
        in_call_ = true;
      } else if (const auto* more = std::get_if<ToolCallArguments>(&event)) {
        call_ += more->fragment;
      } else if (std::holds_alternative<ToolCallEnd>(event)) {
        ending_ = ++made_[call_] >= kMostOfOne || ending_;
        in_call_ = false;
        closing_ = behind_call_;
      }
    }
  }

  // Of a further call, or of a call's end and a further one.
  bool begins_call(std::string_view bytes) const {
    if (!in_call_) return closing_.begins_call(bytes);
    for (std::size_t at = bytes.find('}'); at != std::string_view::npos; at = bytes.find('}', at + 1)) {
      if (at + 1 < bytes.size() && behind_call_.begins_call(bytes.substr(at + 1))) return true;
    }
    return false;
  }

  // Whether the answer may end here; then nothing else may come.
  bool only_ends(const std::optional<std::span<const std::uint32_t>>& allowed) {
    bool any = false;
    mask_.fill(tokenizer_->vocab_size(), false);
    for (const TokenId token : tokenizer_->end_tokens()) {
      if (allowed && !TokenMask::test(*allowed, token)) continue;
      mask_.set(token);
      any = true;
    }
    return any;
  }

  // What is allowed and does not begin another call; false where nothing else is.
  bool no_further_call(std::span<const std::uint32_t> allowed) {
    bool any = false;
    mask_.fill(tokenizer_->vocab_size(), false);
    const auto count = static_cast<TokenId>(tokenizer_->vocab_size());
    for (TokenId token = 0; token < count; ++token) {
      if (!TokenMask::test(allowed, token)) continue;
      if (begins_call(tokenizer_->bytes(token))) continue;
      mask_.set(token);
      any = true;
    }
    return any;
  }

  std::unique_ptr<engine::Constraint> inner_;
  std::shared_ptr<const text::Tokenizer> tokenizer_;
  const std::vector<TokenId> shown_;
  text::StreamDecoder decoder_;
  OutputParser parser_;
  std::vector<OutputEvent> events_;
  std::string call_;                           // the running one: its name, a line break, its arguments
  std::unordered_map<std::string, int> made_;  // how often each
  bool ending_ = false;
  bool in_call_ = false;
  const ClosingMarks behind_call_;
  ClosingMarks closing_;  // since the last call
  TokenMask mask_;
};

}  // namespace

std::unique_ptr<engine::Constraint> end_repetition(const ConstraintContext& context,
                                                   const Conversation& conversation, bool declared_only,
                                                   std::unique_ptr<engine::Constraint> inner) {
  if (conversation.tools.empty() || conversation.tool_choice.kind == ToolChoice::Kind::kNone ||
      !conversation.parallel_tool_calls)
    return inner;
  return std::make_unique<RepeatedCalls>(context, conversation, declared_only, std::move(inner));
}

}  // namespace kvasir::chat
